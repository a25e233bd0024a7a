"""`study report`: the report of a study, one HTML file that needs no network.

build         the sections in their order
calibration   whether the predicted probabilities can be believed
choice        the candidates, and the reason for the choice
confusion     which classes the network confuses
evidence      the results of a finalize
gallery       the mistakes as pictures
page          the HTML around the sections, its style and script
plots         the plots of the search
reproduce     the commands that repeat the study
run           failures, time, environment
snapshot      the study, read once
"""
