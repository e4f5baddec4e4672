/* What TLS costs a server: handshakes, mail over TLS beside the same in clear, and how long others wait meanwhile.
 * Threads that block, one for each connection: what they cost is theirs, the server's share is counted by its group.
 *
 *	bench-tls handshakes PORT CONNECTIONS SECONDS          full handshakes, one after the other, from the first octet
 *	bench-tls mail PORT CONNECTIONS MESSAGES OCTETS HOW    HOW: clear or implicit; three round trips a message
 *	bench-tls probe PORT SECONDS                           NOOP in clear, a hundred a second
 *
 * One line of JSON on standard output.  */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REPLY_MAX = 4096, SAMPLES_MAX = 1 << 20, PROBE_US = 10000 };

static struct {
	struct sockaddr_in to;
	SSL_CTX *context;
	bool implicit;
	double until;
	atomic_long left; /* messages */
	atomic_long done; /* handshakes, or messages */
	char *content;
	size_t octets;
} load;

static _Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fprintf(stderr, "bench-tls: ");
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- a connection ---- */

struct connection {
	int fd;
	SSL *ssl; /* NULL: in clear */
	char reply[REPLY_MAX];
	size_t len; /* of what came and was not looked at */
};

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	if (fd < 0 || connect(fd, (struct sockaddr *)&load.to, sizeof load.to) != 0)
		fail("connect: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

static SSL *shake(int fd)
{
	SSL *ssl = SSL_new(load.context);
	if (!ssl || SSL_set_fd(ssl, fd) != 1) fail("no memory");
	if (SSL_connect(ssl) != 1) {
		ERR_print_errors_fp(stderr);
		fail("handshake failed");
	}
	return ssl;
}

static void hang_up(struct connection *c)
{
	if (c->ssl) SSL_free(c->ssl);
	struct linger at_once = {1, 0}; /* no port of ours has to wait */
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(c->fd);
}

static void put(struct connection *c, const char *octets, size_t len)
{
	while (len > 0) {
		ssize_t n = c->ssl ? SSL_write(c->ssl, octets, (int)len)
				   : send(c->fd, octets, len, MSG_NOSIGNAL);
		if (n <= 0) fail("the server has closed the connection");
		octets += n, len -= (size_t)n;
	}
}

static size_t get(struct connection *c, char *to, size_t max)
{
	ssize_t n = c->ssl ? SSL_read(c->ssl, to, (int)max) : recv(c->fd, to, max, 0);
	if (n <= 0) fail("the server has closed the connection");
	return (size_t)n;
}

/* Read so many replies, each of which must begin with `class`.  */
static void expect(struct connection *c, unsigned count, char class)
{
	for (;;) {
		char *line = c->reply, *end;
		while (count > 0 &&
			(end = memchr(line, '\n', c->len - (size_t)(line - c->reply)))) {
			if (line[0] != class) fail("unexpected reply: %.60s", line);
			if (line[3] == ' ') count--;
			line = end + 1;
		}
		c->len -= (size_t)(line - c->reply);
		memmove(c->reply, line, c->len);
		if (count == 0) return;
		if (c->len == sizeof c->reply) fail("endless reply");
		c->len += get(c, c->reply + c->len, sizeof c->reply - c->len);
	}
}

/* ---- the loads ---- */

static void *handshakes(void *unused)
{
	(void)unused;
	while (now() < load.until) {
		struct connection c = {.fd = dial()};
		c.ssl = shake(c.fd);
		atomic_fetch_add(&load.done, 1);
		hang_up(&c);
	}
	return NULL;
}

static void *mail(void *unused)
{
	static const char hello[] = "EHLO load.test\r\n";
	static const char envelope[] = "MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nDATA\r\n";
	(void)unused;
	struct connection c = {.fd = dial()};
	if (load.implicit) c.ssl = shake(c.fd);
	expect(&c, 1, '2');
	put(&c, hello, sizeof hello - 1);
	expect(&c, 1, '2');
	while (atomic_fetch_sub(&load.left, 1) > 0) {
		put(&c, envelope, sizeof envelope - 1);
		expect(&c, 2, '2');
		expect(&c, 1, '3');
		put(&c, load.content, load.octets);
		expect(&c, 1, '2');
		atomic_fetch_add(&load.done, 1);
	}
	hang_up(&c);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void probe(void)
{
	struct connection c = {.fd = dial()};
	double *samples = calloc(SAMPLES_MAX, sizeof *samples);
	size_t count = 0;
	if (!samples) fail("no memory");
	expect(&c, 1, '2');
	while (now() < load.until && count < SAMPLES_MAX) {
		double began = now();
		put(&c, "NOOP\r\n", 6);
		expect(&c, 1, '2');
		samples[count++] = now() - began;
		usleep(PROBE_US);
	}
	qsort(samples, count, sizeof *samples, compare);
	printf("{\"samples\": %zu, \"p50_ms\": %.4f, \"p99_ms\": %.4f}\n", count,
		samples[count / 2] * 1e3, samples[count * 99 / 100] * 1e3);
	free(samples);
	hang_up(&c);
}

static void run(void *(*thread)(void *), unsigned connections)
{
	pthread_t *threads = calloc(connections, sizeof *threads);
	if (!threads) fail("no memory");
	double began = now();
	for (unsigned i = 0; i < connections; i++)
		if (pthread_create(&threads[i], NULL, thread, NULL) != 0) fail("no thread");
	for (unsigned i = 0; i < connections; i++) pthread_join(threads[i], NULL);
	double seconds = now() - began;
	printf("{\"done\": %ld, \"seconds\": %.4f}\n", atomic_load(&load.done), seconds);
	free(threads);
}

/* ---- the command line ---- */

static long number(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);
	if (*end || value <= 0) fail("a number is wanted, not %s", text);
	return value;
}

static void make_content(size_t octets)
{
	static const char head[] = "From: <a@src.test>\r\nSubject: load\r\n\r\n",
			  end[] = "\r\n.\r\n";
	load.octets = sizeof head - 1 + octets + sizeof end - 1;
	load.content = malloc(load.octets);
	if (!load.content) fail("no memory");
	memcpy(load.content, head, sizeof head - 1);
	char *at = load.content + sizeof head - 1;
	for (size_t i = 0; i < octets; i++) at[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : 'x';
	if (at[octets - 1] == '\r') at[octets - 1] = 'x';
	memcpy(at + octets, end, sizeof end - 1);
}

int main(int argc, char **argv)
{
	if (argc < 4) fail("see the comment at the top of bench/tls.c");
	load.to = (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons((uint16_t)number(argv[2])),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	load.context = SSL_CTX_new(TLS_client_method());
	if (!load.context || !SSL_CTX_set_min_proto_version(load.context, TLS1_3_VERSION))
		fail("no TLS");
	if (strcmp(argv[1], "probe") == 0 && argc == 4) {
		load.until = now() + (double)number(argv[3]);
		probe();
	} else if (strcmp(argv[1], "handshakes") == 0 && argc == 5) {
		load.until = now() + (double)number(argv[4]);
		run(handshakes, (unsigned)number(argv[3]));
	} else if (strcmp(argv[1], "mail") == 0 && argc == 7) {
		atomic_store(&load.left, number(argv[4]));
		make_content((size_t)number(argv[5]));
		load.implicit = strcmp(argv[6], "implicit") == 0;
		run(mail, (unsigned)number(argv[3]));
	} else {
		fail("see the comment at the top of bench/tls.c");
	}
	return 0;
}
