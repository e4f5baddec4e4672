/* To be preloaded: a program that believes it has synced.  With it the crash matrix has to see mail lost.  */
#include <unistd.h>

int fsync(int fd)
{
	(void)fd;
	return 0;
}

int fdatasync(int fd)
{
	(void)fd;
	return 0;
}
