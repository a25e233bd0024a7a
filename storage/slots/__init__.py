"""Slots: the budget as rows of trials, exactly N slots, each tried until it is final.

attempt    SQL statements of one attempt: claim, report, heartbeat, end
claim      data classes of a slot and its claim
lease      heartbeat thread of a claimed trial
rows       SQL statements on the trial rows of slots
rungs      which slots are promoted to the next rung
slots      plan, add, promote, claim, report, finish, release, requeue
"""
