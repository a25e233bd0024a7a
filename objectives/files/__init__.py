"""Write files atomically, open them safely, limit their size.

atomic       atomic writes; folders
filelock     lock files
limits       sizes of files, free memory
openfile     opens files of a user for reading
ownfile      opens files that other users may have replaced
userfolder   private folders of this user
"""
