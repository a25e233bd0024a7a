"""Retraining the best configurations, choosing one, and writing the submission.

choose       which configuration, and what score to expect
companion    the study that holds the retrainings
decide       what to retrain, fold by fold
effort       how much: seeds, folds, epochs
expect       the expected score, in words
finalize     the whole of it, in order
folds        predictions of rows that were not learned from
modelcard    the model card
outfolder    one finalize at a time in a folder
outputs      the files that are written, and their manifest
submission   `submission.csv`, checked before it is in place
usage        the lines of Python that load the model
wanted       its options
"""
