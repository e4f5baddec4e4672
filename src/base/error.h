/* The three kinds of failure, never mixed.
 *
 *   a bug              ASSERT: on in every build, ends the process
 *   the environment    a MUST_CHECK return: 0 or a negative errno, or a bool
 *   a mail outcome     a value (mail/status.h); peers and users cause nothing else  */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

#define ASSERT(condition)                                                                          \
	((condition) ? (void)0 : bug_found(__FILE__, __LINE__, __func__, #condition))
#define UNREACHABLE() bug_found(__FILE__, __LINE__, __func__, "unreachable")

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* Say on standard error which assertion does not hold, then abort.  */
_Noreturn void bug_found(const char *file, int line, const char *function, const char *condition);

#endif
