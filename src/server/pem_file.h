/* Certificates and keys that the server writes itself.  */
#ifndef SERVER_PEM_FILE_H
#define SERVER_PEM_FILE_H

#include "io/file.h"

/* Save the file, durably, and make the directory that it lies in.  path: NUL-terminated.  0 or -errno.  */
int MUST_CHECK pem_file_save(struct io *io, struct str path, struct str pem);

#endif
