/* A generator of load that pipelines (RFC 2920): the end of a message, and MAIL, RCPT and DATA of the next one, leave in
 * one send; so a message costs one round trip.  With `chunking` (RFC 3030) a message is one group, and `window`
 * groups are on their way at once.
 *
 *     pipeline HOST:PORT CONNECTIONS MESSAGES OCTETS SENDER RECIPIENT [WINDOW]
 *
 * WINDOW 0, the default, is DATA; more is BDAT.  Prints one JSON object: seconds from the first connection to the last
 * 250, messages, median and 99th percentile of the time from sending a message's end to its 250, in microseconds.
 * A reply that refuses anything ends it: exit code 1.  */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
	REPLY_MAX = 2048,
	EVENTS_MAX = 256,
	SAMPLES_MAX = 1 << 20,
	RECEIVE_MAX = 64 << 10,
	WINDOW_MAX = 64
};

/* What the next reply answers.  */
enum expect { BANNER, EHLO, BEFORE_DATA, START_DATA, END_OF_MESSAGE };

struct connection {
	int fd;
	enum expect expect;
	unsigned before;    /* replies to MAIL and RCPT before the one that counts */
	unsigned in_flight; /* messages whose end was sent */
	double sent_at[WINDOW_MAX];
	uint64_t ended; /* index into sent_at */
	char line[REPLY_MAX];
	size_t line_octets;
	const char *out; /* borrowed: one of the texts below */
	size_t out_octets;
};

struct load {
	unsigned connections, window;
	uint64_t messages, begun, done;
	char *envelope;     /* MAIL, RCPT, DATA */
	char *end_and_next; /* the content, its end, and the next envelope */
	char *end_only;     /* the content and its end */
	char *group;        /* MAIL, RCPT, BDAT and content */
	size_t envelope_octets, end_and_next_octets, end_only_octets, group_octets;
	float *took;
	int epoll;
};

static _Noreturn void fail(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void send_now(struct connection *c, const char *octets, size_t count)
{
	ssize_t n = send(c->fd, octets, count, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN) fail("send: %s", strerror(errno));
	c->out = octets + (n > 0 ? n : 0);
	c->out_octets = count - (size_t)(n > 0 ? n : 0);
}

static void watch(struct load *l, struct connection *c, int operation)
{
	struct epoll_event e = {
		.events = c->out_octets > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
	if (epoll_ctl(l->epoll, operation, c->fd, &e) != 0) fail("epoll_ctl: %s", strerror(errno));
}

static void put(struct load *l, struct connection *c, const char *octets, size_t count)
{
	send_now(c, octets, count);
	if (c->out_octets > 0) watch(l, c, EPOLL_CTL_MOD);
}

static void mark_sent(struct connection *c)
{
	c->sent_at[(c->ended + c->in_flight++) % WINDOW_MAX] = now();
}

/* With BDAT: as many groups as the window and the socket take.  */
static void fill_window(struct load *l, struct connection *c)
{
	while (c->in_flight < l->window && c->out_octets == 0 && l->begun < l->messages) {
		l->begun++;
		mark_sent(c);
		put(l, c, l->group, l->group_octets);
	}
}

static void begin(struct load *l, struct connection *c)
{
	c->before = 2;
	c->expect = BEFORE_DATA;
	if (l->window > 0) {
		fill_window(l, c);
	} else if (l->begun < l->messages) {
		l->begun++;
		put(l, c, l->envelope, l->envelope_octets);
	}
}

static void send_content(struct load *l, struct connection *c)
{
	mark_sent(c);
	c->expect = END_OF_MESSAGE;
	if (l->begun < l->messages) {
		l->begun++;
		put(l, c, l->end_and_next, l->end_and_next_octets);
	} else {
		put(l, c, l->end_only, l->end_only_octets);
	}
}

static void message_done(struct load *l, struct connection *c)
{
	if (l->done < SAMPLES_MAX)
		l->took[l->done] = (float)((now() - c->sent_at[c->ended % WINDOW_MAX]) * 1e6);
	l->done++;
	c->ended++;
	c->in_flight--;
	c->before = 2;
	c->expect = BEFORE_DATA; /* its envelope is on its way, or there is no next one */
	if (l->window > 0) fill_window(l, c);
}

/* The last line of a reply.  */
static void reply(struct load *l, struct connection *c, const char *line)
{
	char wanted = c->expect == START_DATA ? '3' : '2';
	if (line[0] != wanted) fail("refused: %.100s", line);
	switch (c->expect) {
	case BANNER:
		c->expect = EHLO;
		put(l, c, "EHLO load.test\r\n", strlen("EHLO load.test\r\n"));
		break;
	case EHLO: begin(l, c); break;
	case BEFORE_DATA:
		if (--c->before == 0) c->expect = l->window > 0 ? END_OF_MESSAGE : START_DATA;
		break;
	case START_DATA: send_content(l, c); break;
	case END_OF_MESSAGE: message_done(l, c); break;
	}
}

static void received(struct load *l, struct connection *c, const char *at, size_t octets)
{
	while (octets > 0) {
		const char *newline = memchr(at, '\n', octets);
		size_t n = newline == NULL ? octets : (size_t)(newline - at) + 1;
		if (c->line_octets + n >= sizeof c->line)
			fail("a reply line of more than %d octets", REPLY_MAX);
		memcpy(c->line + c->line_octets, at, n);
		c->line_octets += n;
		at += n;
		octets -= n;
		if (newline == NULL) break;
		c->line[c->line_octets] = '\0';
		bool last = c->line_octets < 5 || c->line[3] != '-';
		c->line_octets = 0;
		if (last) reply(l, c, c->line);
	}
}

static void serve(struct load *l, struct connection *c, uint32_t events, char *buffer)
{
	if ((events & EPOLLOUT) != 0 && c->out_octets > 0) {
		send_now(c, c->out, c->out_octets);
		if (c->out_octets == 0) {
			watch(l, c, EPOLL_CTL_MOD);
			if (l->window > 0) fill_window(l, c);
		}
	}
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
	ssize_t n = recv(c->fd, buffer, RECEIVE_MAX, 0);
	if (n < 0 && errno == EAGAIN) return;
	if (n <= 0) fail("the server closed the connection");
	received(l, c, buffer, (size_t)n);
}

static void connect_to(struct load *l, struct connection *c, const struct sockaddr_in *to)
{
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)to, sizeof *to) != 0)
		fail("connect: %s", strerror(errno));
	int one = 1;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0) fail("fcntl: %s", strerror(errno));
	watch(l, c, EPOLL_CTL_ADD);
}

static char *text(size_t *ret_octets, const char *format, ...)
{
	va_list list;
	char *made;
	va_start(list, format);
	int n = vasprintf(&made, format, list);
	va_end(list);
	if (n < 0) fail("no memory");
	*ret_octets = (size_t)n;
	return made;
}

/* A message of `octets` octets in all, in lines of 72.  */
static char *message_of(size_t octets, const char *from, const char *to, size_t *ret_octets)
{
	char *head = text(ret_octets,
		"From: <%s>\r\nTo: <%s>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
		"Message-ID: <load@load.test>\r\nSubject: load\r\n\r\n",
		from, to);
	size_t size = *ret_octets, all = octets > size + 2 ? octets : size + 2;
	char *whole = malloc(all + 1);
	if (whole == NULL) fail("no memory");
	memcpy(whole, head, size);
	free(head);
	for (size_t i = size; i < all; i++) {
		size_t column = (i - size) % 72;
		whole[i] = column == 70 ? '\r' : column == 71 ? '\n' : 'x';
	}
	memcpy(whole + all - 2, "\r\n", 2);
	if (whole[all - 3] == '\r') whole[all - 3] = 'x';
	whole[all] = '\0';
	*ret_octets = all;
	return whole;
}

static void compose(struct load *l, size_t octets, const char *from, const char *to)
{
	size_t size;
	char *content = message_of(octets, from, to, &size);
	l->envelope =
		text(&l->envelope_octets, "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", from, to);
	l->end_only = text(&l->end_only_octets, "%s.\r\n", content);
	l->end_and_next = text(&l->end_and_next_octets, "%s.\r\n%s", content, l->envelope);
	l->group = text(&l->group_octets, "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nBDAT %zu LAST\r\n%s",
		from, to, size, content);
	free(content);
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

static void run(struct load *l, const struct sockaddr_in *to)
{
	struct connection *all = calloc(l->connections, sizeof *all);
	char *buffer = malloc(RECEIVE_MAX);
	if (all == NULL || buffer == NULL) fail("no memory");
	double from = now();
	for (unsigned i = 0; i < l->connections; i++) connect_to(l, &all[i], to);
	while (l->done < l->messages) {
		struct epoll_event events[EVENTS_MAX];
		int n = epoll_wait(l->epoll, events, EVENTS_MAX, -1);
		for (int i = 0; i < n; i++) serve(l, events[i].data.ptr, events[i].events, buffer);
	}
	double seconds = now() - from;
	size_t samples = l->done < SAMPLES_MAX ? l->done : SAMPLES_MAX;
	qsort(l->took, samples, sizeof *l->took, by_value);
	printf("{\"messages\": %llu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
		(unsigned long long)l->done, seconds, (double)l->took[samples / 2],
		(double)l->took[samples * 99 / 100]);
	free(all);
	free(buffer);
}

int main(int argc, char **argv)
{
	char *colon = argc > 1 ? strrchr(argv[1], ':') : NULL;
	if (argc < 7 || colon == NULL) {
		fputs("usage: pipeline HOST:PORT CONNECTIONS MESSAGES OCTETS SENDER RECIPIENT [WINDOW]\n",
			stderr);
		return 64;
	}
	*colon = '\0';
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
	struct load l = {.connections = (unsigned)strtoul(argv[2], NULL, 10),
		.messages = strtoull(argv[3], NULL, 10),
		.epoll = epoll_create1(EPOLL_CLOEXEC),
		.window = argc > 7 ? (unsigned)strtoul(argv[7], NULL, 10) : 0,
		.took = malloc(SAMPLES_MAX * sizeof(float))};
	if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || l.connections == 0 ||
		l.messages == 0 || l.window > WINDOW_MAX)
		return 64;
	if (l.took == NULL || l.epoll < 0) fail("no memory");
	compose(&l, strtoul(argv[4], NULL, 10), argv[5], argv[6]);
	run(&l, &to);
	free(l.took);
	free(l.envelope);
	free(l.end_only);
	free(l.end_and_next);
	free(l.group);
	return 0;
}
