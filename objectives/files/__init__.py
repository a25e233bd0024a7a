"""Write files completely or not at all, open them safely, limit their size.

atomic       complete files; folders
filelock     lock files
limits       sizes of files, free memory
openfile     files of a user, for reading
ownfile      files that other users may have replaced
userfolder   folders of this user alone
"""
