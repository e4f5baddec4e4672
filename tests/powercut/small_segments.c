/* The server with segments of 1 MiB instead of 64: they are sealed, freed and compacted within a test.  */
#include "spool/spool.h"

int __real_spool_open(struct io *io, const struct spool_options *options, struct spool **ret,
	struct spool_report *ret_report, const char **ret_why);
int __wrap_spool_open(struct io *io, const struct spool_options *options, struct spool **ret,
	struct spool_report *ret_report, const char **ret_why);

int __wrap_spool_open(struct io *io, const struct spool_options *options, struct spool **ret,
	struct spool_report *ret_report, const char **ret_why)
{
	struct spool_options small = *options;
	small.segment_size = 1 << 20;
	return __real_spool_open(io, &small, ret, ret_report, ret_why);
}
