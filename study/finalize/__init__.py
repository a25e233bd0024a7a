"""Retraining the best configurations, choosing one, and writing the submission.

choose       the choice of a configuration, by statistics
companion    the study that stores the retrainings
decide       the next trainings, or the end
effort       how many seeds, folds and epochs fit a budget
finalize     the whole command, step by step
folds        out-of-fold predictions, and the score that they predict
modelcard    the model card, and the lines of Python that load the model
outfolder    one finalize at a time in a folder
outputs      the output files and their manifest
submission   `submission.csv`, checked before it is in place
wanted       the options
"""
