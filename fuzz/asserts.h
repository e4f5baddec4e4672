/* The drivers of the cores that the unit tests have (x_play_test.h) speak cmocka; here the same words
 * are plain assertions.  To be included before them.  */
#ifndef FUZZ_ASSERTS_H
#define FUZZ_ASSERTS_H

#include "fuzz/fuzz.h"

#define BASE_TEST_H /* in its place */

#define assert_true(condition) ASSERT(condition)
#define assert_false(condition) ASSERT(!(condition))
#define assert_null(pointer) ASSERT((pointer) == NULL)
#define assert_non_null(pointer) ASSERT((pointer) != NULL)
#define assert_int_equal(a, b) ASSERT((a) == (b))
#define assert_int_not_equal(a, b) ASSERT((a) != (b))
#define assert_str(got, wanted) ASSERT(str_eq((got), str_from_c(wanted)))

#endif
