/* What the unit tests share.  cmocka wants four headers before its own.  */
#ifndef BASE_TEST_H
#define BASE_TEST_H

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Fails unless got is the text that is wanted, octet for octet.  */
#define assert_str(got, wanted)                                                                    \
	do {                                                                                       \
		struct str got_ = (got), wanted_ = str_from_c(wanted);                             \
		if (!str_eq(got_, wanted_))                                                        \
			fail_msg("got \"" STR_FMT "\", wanted \"" STR_FMT "\"", STR_ARG(got_),     \
				STR_ARG(wanted_));                                                 \
	} while (0)

#endif
