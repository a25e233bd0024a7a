"""The budget as rows: exactly N slots, each tried until it is final.

attempt    the statements of an attempt
claim      what a claim holds
lease      the heartbeat of a claimed trial
postgres   the same in fewer round trips on PostgreSQL
requeue    slots whose trial was lost
rows       the statements of a slot
slots      plan, add, claim, report, finish, release
"""
