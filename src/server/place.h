/* Where something stands in the files of the configuration.  */
#ifndef SERVER_PLACE_H
#define SERVER_PLACE_H

#include <stdint.h>

struct place {
	const char *file; /* kept; NULL: nowhere (the command line, a default) */
	uint32_t line;    /* 0: the file as a whole */
};

#endif
