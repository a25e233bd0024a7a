"""The budget as rows: exactly N slots, each tried until it is final.

attempt    the statements of an attempt
claim      a slot, what is drawn for it, and the claim
lease      the heartbeat of a claimed trial
rows       the statements of a slot
slots      plan, add, claim, report, finish, release, requeue
"""
