/* What the disk alone can do: pwrite + fdatasync, one after the other, into a file that was written before, so
 * that no sync has anything of the file system to write.
 *
 *     rawsync FILE SECONDS OCTETS
 *
 * Prints one JSON object: operations per second, median and 99th percentile in microseconds.  */
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>

enum { FILE_OCTETS = 64 << 20, SAMPLES_MAX = 1 << 20 };

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void write_at(int fd, const char *from, size_t octets, off_t at)
{
	while (octets > 0) {
		ssize_t n = pwrite(fd, from, octets, at);
		if (n <= 0) fail("pwrite");
		from += n;
		at += n;
		octets -= (size_t)n;
	}
}

static int prepare(const char *path, const char *block, size_t octets)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) fail(path);
	for (off_t at = 0; at + (off_t)octets <= FILE_OCTETS; at += (off_t)octets)
		write_at(fd, block, octets, at);
	if (fsync(fd) != 0) fail("fsync");
	return fd;
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fputs("usage: rawsync FILE SECONDS OCTETS\n", stderr);
		return 64;
	}
	double seconds = strtod(argv[2], NULL);
	size_t octets = strtoul(argv[3], NULL, 10);
	if (seconds <= 0 || octets == 0 || octets > FILE_OCTETS) return 64;
	char *block = malloc(octets);
	float *took = malloc(SAMPLES_MAX * sizeof *took);
	if (block == NULL || took == NULL) fail("malloc");
	memset(block, 'x', octets);
	int fd = prepare(argv[1], block, octets);

	size_t count = 0;
	off_t at = 0;
	double begin = now(), end = begin;
	while (end - begin < seconds && count < SAMPLES_MAX) {
		double before = end;
		write_at(fd, block, octets, at);
		if (fdatasync(fd) != 0) fail("fdatasync");
		at += (off_t)octets;
		if (at + (off_t)octets > FILE_OCTETS) at = 0;
		end = now();
		took[count++] = (float)((end - before) * 1e6);
	}
	qsort(took, count, sizeof *took, by_value);
	printf("{\"operations\": %zu, \"per_second\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
		count, (double)count / (end - begin), (double)took[count / 2],
		(double)took[count * 99 / 100]);
	close(fd);
	unlink(argv[1]);
	free(block);
	free(took);
	return 0;
}
