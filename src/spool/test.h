/* What the tests of this folder share: a loop, a spool in a directory of its own, and ways to
 * wait.  */
#ifndef SPOOL_TEST_H
#define SPOOL_TEST_H

#include "base/rng.h"
#include "base/test.h"
#include "spool/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>

struct bench {
	struct io *io;
	char path[64];
	struct log log;
	struct buf told; /* log lines */
	struct spool_options options;
	struct spool *spool;
	struct spool_report report;
	struct io_hook hook;
	struct timer limit;
	const bool *until;
	unsigned recovered;
	uint64_t spare_segments; /* 0: what can be moved is moved */
};

static inline msec bench_wall(void *context) { return io_wall(((struct bench *)context)->io); }
static inline void bench_write(void *context, struct str lines)
{
	buf_add(&((struct bench *)context)->told, lines);
}
static inline void bench_recovered(void *context) { ((struct bench *)context)->recovered++; }

static inline void bench_hook(struct io_hook *hook)
{
	struct bench *b = CONTAINER_OF(hook, struct bench, hook);
	if (b->until && *b->until) io_stop(b->io);
}

static inline void bench_late(struct timer *timer)
{
	struct bench *b = CONTAINER_OF(timer, struct bench, limit);
	b->until = NULL;
	io_stop(b->io);
}

static inline void bench_clear_directory(const char *path)
{
	DIR *dir = opendir(path);
	if (!dir) return;
	for (struct dirent *e; (e = readdir(dir));) {
		char name[512];
		if (e->d_name[0] == '.') continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		unlink(name);
	}
	closedir(dir);
}

static inline void bench_init(struct bench *b, uint64_t segment_size)
{
	*b = (struct bench){.io = io_new(), .hook.run = bench_hook, .limit.fire = bench_late};
	assert_non_null(b->io);
	const char *tmp = getenv("TMPDIR");
	snprintf(b->path, sizeof(b->path), "%s/spool-test-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(b->path));
	buf_init(&b->told, 16 << 20);
	b->log = (struct log){.wall = bench_wall, .write = bench_write, .context = b};
	log_init(&b->log, LOG_TEXT, LOG_INFO);
	b->options = (struct spool_options){.path = b->path,
		.segment_size = segment_size,
		.outcome_delay = 5,
		.log = &b->log,
		.recovered = bench_recovered,
		.context = b};
	io_before_sleep(b->io, &b->hook);
}

static inline int bench_try_open(struct bench *b)
{
	const char *why;
	int error = spool_open(b->io, &b->options, &b->spool, &b->report, &why);
	if (error) b->spool = NULL;
	if (!error) b->spool->spare_segments = b->spare_segments;
	return error;
}

static inline void bench_open(struct bench *b) { assert_int_equal(bench_try_open(b), 0); }

static inline void bench_close(struct bench *b)
{
	spool_close(b->spool);
	b->spool = NULL;
	log_flush(&b->log);
}

static inline void bench_end(struct bench *b)
{
	if (b->spool) bench_close(b);
	list_remove(&b->hook.link);
	bench_clear_directory(b->path);
	rmdir(b->path);
	log_release(&b->log);
	buf_release(&b->told);
	io_free(b->io);
}

/* Run the loop until *flag, at most so long.  */
static inline bool bench_wait(struct bench *b, const bool *flag, msec at_most)
{
	b->until = flag;
	io_timer_set(b->io, &b->limit, io_now_us(b->io) / 1000 + at_most);
	io_run(b->io);
	io_timer_cancel(b->io, &b->limit);
	return flag && *flag;
}

static inline void bench_run(struct bench *b, msec ms)
{
	static const bool never = false;
	(void)bench_wait(b, &never, ms);
}

/* ---- messages ---- */

struct bench_message {
	struct spool_writer writer;
	struct spool_op op;
	struct envelope envelope;
	struct recipient recipients[8];
	char addresses[8][32];
	bool done;
	int error;
	slot slot;
	uint64_t id;
	bool resumed;
};

static inline void bench_done(struct spool_op *op, int error)
{
	struct bench_message *m = CONTAINER_OF(op, struct bench_message, op);
	m->done = true;
	m->error = error;
	m->slot = error ? 0 : spool_committed(&m->writer);
}

static inline void bench_resumed(struct spool_writer *w)
{
	CONTAINER_OF(w, struct bench_message, writer)->resumed = true;
}

/* The octet at a place of the content of a message; 251 is no divisor of any size here.  */
static inline char bench_octet(uint64_t id, uint64_t at)
{
	return (char)((id * 31 + at * 7 + at / 251) & 0xff);
}

static inline void bench_envelope(struct bench_message *m, uint32_t recipients, uint64_t size)
{
	m->envelope = (struct envelope){.reverse_path = STR("sender@example.org"),
		.helo = STR("client.example.org"),
		.size = size,
		.recipients = m->recipients,
		.recipient_count = recipients,
		.flags = ENVELOPE_8BIT};
	for (uint32_t i = 0; i < recipients; i++) {
		snprintf(m->addresses[i], sizeof(m->addresses[i]), "r%u@D%u.Example.net", i,
			(unsigned)(size + i) % 7);
		m->recipients[i] = (struct recipient){.address = str_from_c(m->addresses[i])};
	}
}

/* Write size octets and commit; waits where it must, but not for the commit.  */
static inline int bench_submit(
	struct bench *b, struct bench_message *m, uint32_t recipients, uint64_t size)
{
	*m = (struct bench_message){0};
	int error = spool_begin(b->spool, &m->writer, bench_resumed);
	if (error) return error;
	m->id = spool_writer_id(&m->writer);
	bench_envelope(m, recipients, size);
	char piece[4096];
	for (uint64_t at = 0; at < size;) {
		size_t n = size - at < sizeof(piece) ? (size_t)(size - at) : sizeof(piece);
		for (size_t i = 0; i < n; i++) piece[i] = bench_octet(m->id, at + i);
		m->resumed = false;
		enum spool_take take = spool_write(&m->writer, str_of(piece, n));
		if (take == SPOOL_REFUSED) {
			spool_abort(&m->writer);
			return -EIO;
		}
		if (take == SPOOL_WAIT) assert_true(bench_wait(b, &m->resumed, 10000));
		at += n;
	}
	m->op = (struct spool_op){.done = bench_done};
	spool_commit(&m->writer, &m->envelope, (uint32_t)size, &m->op);
	return 0;
}

static inline slot bench_accept(
	struct bench *b, struct bench_message *m, uint32_t recipients, uint64_t size)
{
	assert_int_equal(bench_submit(b, m, recipients, size), 0);
	assert_true(bench_wait(b, &m->done, 10000));
	assert_int_equal(m->error, 0);
	return m->slot;
}

/* 0 when the message reads back as it was written.  */
static inline int bench_read(struct bench *b, slot message, uint64_t size)
{
	struct spool_reader r;
	uint64_t id = spool_message(spool_index(b->spool), message)->id;
	int error = spool_read_open(b->spool, message, &r);
	if (error) return error;
	uint64_t at = 0;
	assert_int_equal(r.size, size);
	for (struct str octets;;) {
		error = spool_read(&r, &octets);
		if (error || octets.len == 0) break;
		assert_true(octets.len <= 64 << 10);
		for (size_t i = 0; i < octets.len; i++, at++)
			if (octets.ptr[i] != bench_octet(id, at)) error = -EILSEQ;
		if (error) break;
	}
	if (!error && at != size) error = -EMSGSIZE;
	spool_read_close(&r);
	return error;
}

static inline struct outcome bench_outcome(enum outcome_class class, const char *text)
{
	return (struct outcome){.class = class,
		.code = 451,
		.enhanced = {4, 7, 1},
		.text = str_from_c(text),
		.host = STR("mx.example.net[192.0.2.1]:25"),
		.remote = true};
}

static inline slot bench_recipient(struct bench *b, slot message, uint32_t index)
{
	slot t = spool_message(spool_index(b->spool), message)->recipients;
	while (index-- > 0) t = spool_recipient(spool_index(b->spool), t)->sibling;
	return t;
}

struct bench_sync {
	struct spool_op op;
	bool done;
	int error;
};

static inline void bench_synced(struct spool_op *op, int error)
{
	struct bench_sync *y = CONTAINER_OF(op, struct bench_sync, op);
	y->done = true;
	y->error = error;
}

static inline void bench_sync(struct bench *b)
{
	struct bench_sync y = {.op.done = bench_synced};
	spool_sync(b->spool, &y.op);
	assert_true(bench_wait(b, &y.done, 10000));
	assert_int_equal(y.error, 0);
}

static inline bool bench_was_told(struct bench *b, const char *words)
{
	log_flush(&b->log);
	return str_contains(buf_str(&b->told), str_from_c(words));
}

/* ---- a disk that fails on demand: the calls of io/ are caught in the test's own executable ---- */

#ifdef SPOOL_TEST_FAULTS

static struct {
	atomic_int sync_error; /* of each fdatasync; 0: none */
	atomic_int sync_after; /* so many succeed first */
	atomic_int write_error;
	atomic_ulong syncs;
	atomic_ulong free_octets; /* what statfs says; 0: the truth */
} fault;

int fdatasync(int fd)
{
	fault.syncs++;
	if (fault.sync_error && fault.sync_after-- <= 0) {
		errno = fault.sync_error;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	if (fault.write_error) {
		errno = fault.write_error;
		return -1;
	}
	return syscall(SYS_pwritev, fd, iov, count, offset, 0);
}

int statfs(const char *path, struct statfs *ret)
{
	int error = (int)syscall(SYS_statfs, path, ret);
	if (error == 0 && fault.free_octets) {
		ret->f_bavail = fault.free_octets / (uint64_t)ret->f_bsize;
		ret->f_bfree = ret->f_bavail;
	}
	return error;
}

static inline void no_faults(void) { memset(&fault, 0, sizeof(fault)); }

/* Trials come quickly.  */
static inline void open_quick(struct bench *b)
{
	bench_open(b);
	b->spool->health_ms = 10;
}

static inline void wait_well(struct bench *b)
{
	unsigned before = b->recovered;
	for (int i = 0; i < 100 && b->recovered == before; i++) bench_run(b, 10);
	assert_int_equal(b->recovered, before + 1);
}

static inline int submit_and_wait(struct bench *b, struct bench_message *m, uint64_t size)
{
	int error = bench_submit(b, m, 1, size);
	if (error) return error;
	assert_true(bench_wait(b, &m->done, 10000));
	return m->error;
}

static inline uint32_t count_told(struct bench *b, const char *event)
{
	uint32_t count = 0;
	log_flush(&b->log);
	for (struct str rest = buf_str(&b->told), line; rest.len > 0;) {
		(void)str_cut(&rest, '\n', &line);
		if (str_contains(line, str_from_c(event))) count++;
	}
	return count;
}

#endif

#endif
