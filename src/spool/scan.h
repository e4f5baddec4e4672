/* Reading a segment that has no index, record by record.  */
#ifndef SPOOL_SCAN_H
#define SPOOL_SCAN_H

#include "spool/summary.h"

struct scan {
	struct io *io;
	const struct io_file *file;
	uint32_t number;
	uint64_t generation;
	uint64_t salt;
	uint64_t limit; /* octets of the file to look at */
	/* What lies before was synced: damage there is a loss.  The last batch may raise it.  */
	uint64_t synced;
	void (*damaged)(
		struct scan *scan, uint64_t offset, const char *what); /* told of each place */
	void *context;
	/* Results.  */
	struct summary *summary;
	uint64_t end;  /* of the records, a multiple of RECORD_BLOCK */
	uint32_t lost; /* records that were damaged */
	bool torn;     /* something behind `synced` is not whole: it was on its way */
	bool unknown;  /* there are records of a kind that is not known here */
};

/* Fill in the results; summary must be empty.  0; -EIO, -ENOMEM.  */
int MUST_CHECK scan_segment(struct scan *scan);
/* Generation and salt from the list of segments that opens the first batch, where the header is
 * spoilt.  */
bool scan_identify(
	struct io *io, const struct io_file *file, uint32_t number, struct disk_segment *ret);

#endif
