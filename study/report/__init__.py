"""The report of a study: one HTML file that needs no network.

build         the sections in their order
calibration   whether probabilities can be believed
choice        which configuration was chosen, and why
confusion     which classes are taken for which
evidence      what a finalize predicted of rows it had not learned from
figure        our own plots
gallery       the images that were most wrong
page          the HTML around them, and its style
plots         Optuna's plots
reproduce     the commands that repeat it
run           how the study went
snapshot      the study, read once
"""
