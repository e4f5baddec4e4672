/* Included by the build into every file of ours: these calls are compile errors.
 * No bounds, hidden state, a shell, or a clock of its own: each has a better neighbour in base/.
 * (rand, random and alloca occur in headers of libraries: those tools/tidy refuses.)  */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Fortified C libraries make macros of these.  */
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok strtok_r atoi atol atoll
#pragma GCC poison gets srand srandom system popen localtime gmtime ctime asctime

#endif
