"""`study report`: the report of a study, one HTML file without external resources.

build         the sections in their order
calibration   whether predicted probabilities match accuracy
candidates    the section on candidates and the choice
confusion     confusion matrix, recall and precision
evidence      results of a finalize, as plain values
gallery       pictures of wrong predictions
page          the HTML around the sections, its style and script
plots         the plots of the search
reproduce     the commands that repeat the study
run           sections on failures, time, environment
snapshot      the study, read once for all sections
"""
