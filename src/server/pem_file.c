#include "server/pem_file.h"

#include <errno.h>

int pem_file_save(struct io *io, struct str path, struct str pem)
{
	char directory[4096];
	size_t end = str_rfind(path, '/');
	if (end >= sizeof directory) return -ENAMETOOLONG;
	if (end > 0 && end < path.len) {
		memcpy(directory, path.ptr, end);
		directory[end] = '\0';
		int error = io_dir_make(io, directory);
		if (error) return error;
	}
	return io_file_save(io, path.ptr, pem);
}
