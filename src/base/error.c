#include "base/error.h"

_Noreturn void bug_found(const char *file, int line, const char *function, const char *condition)
{
	fprintf(stderr, "rockdove: bug at %s:%d in %s: %s\n", file, line, function, condition);
	abort();
}
