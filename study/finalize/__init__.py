"""Retrain the best configurations on folds, choose one, and write its networks' submission.

choose       chooses a configuration by statistics; expected score
companion    the study that stores the retrainings of a finalize
stages       decides the next trainings, or the end
effort       numbers of candidates, folds, epochs and networks that fit a budget
finalize     runs the whole command, step by step
folds        out-of-fold predictions, and the expected score
modelcard    the model card, and the lines of Python that load the model
outfolder    lock and owner of the output folder
outputs      the output files and their manifest
submission   writes and checks `submission.csv`
wanted       the options of the command
"""
