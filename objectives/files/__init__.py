"""Files: written whole, opened without following links, limited in size.

atomic       a file is there whole or not at all; folders
filelock     lock files
limits       how large a file may be
openfile     a regular file for reading
ownfile      files of a work dir
userfolder   folders of this user alone
"""
