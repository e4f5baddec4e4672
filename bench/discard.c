/* An SMTP server that takes everything and keeps nothing: the least a receiver can cost, so the most a generator
 * of load can give, and a next hop that never is the limit.
 *
 *     discard PORT COUNTER [chunking]
 *
 * Listens on 127.0.0.1 until it is killed.  COUNTER is a file of two 64-bit words, mapped, so that a reader costs
 * nothing: messages ended, connections taken.  One thread, epoll, PIPELINING, CHUNKING when asked.  */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum {
	CARRY_MAX = 2048, /* a command line that is not whole, or the last octets of a message */
	RECEIVE_MAX = 256 << 10,
	REPLIES_MAX = 256 << 10,
	EVENTS_MAX = 256,
};

enum state { COMMAND, CONTENT, CHUNK };

struct client {
	int fd;
	enum state state;
	bool last; /* of the chunks */
	uint64_t chunk_left;
	uint32_t carry;
	char *kept; /* carry octets, when there are any */
};

struct counter {
	_Atomic uint64_t messages, connections;
};

struct server {
	int epoll, listener;
	bool chunking;
	struct counter *counter;
	char *receive; /* CARRY_MAX of room before what recv gives */
	char *replies;
	size_t reply_count;
};

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void say(struct server *s, const char *reply)
{
	size_t length = strlen(reply);
	if (s->reply_count + length > REPLIES_MAX) return;
	memcpy(s->replies + s->reply_count, reply, length);
	s->reply_count += length;
}

static bool is(const char *line, size_t length, const char *verb)
{
	return length >= strlen(verb) && strncasecmp(line, verb, strlen(verb)) == 0;
}

/* A line without its end.  False: the client leaves.  */
static bool command(struct server *s, struct client *c, const char *line, size_t length)
{
	if (is(line, length, "MAIL") || is(line, length, "RCPT") || is(line, length, "RSET") ||
		is(line, length, "NOOP")) {
		say(s, "250 2.0.0 Ok\r\n");
	} else if (is(line, length, "DATA")) {
		say(s, "354 Go on\r\n");
		c->state = CONTENT;
	} else if (is(line, length, "BDAT")) {
		char *rest;
		c->chunk_left = strtoull(line + 4, &rest, 10);
		c->last = strncasecmp(rest, " LAST", 5) == 0;
		c->state = CHUNK;
	} else if (is(line, length, "EHLO")) {
		say(s, "250-discard.test\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n");
		if (s->chunking) say(s, "250-CHUNKING\r\n");
		say(s, "250 8BITMIME\r\n");
	} else if (is(line, length, "HELO")) {
		say(s, "250 discard.test\r\n");
	} else if (is(line, length, "QUIT")) {
		say(s, "221 2.0.0 Bye\r\n");
		return false;
	} else {
		say(s, "502 5.5.1 What?\r\n");
	}
	return true;
}

/* Where the content ends: just after CRLF.CRLF; NULL: not in here.  The two octets before `from` are there.  */
static char *content_end(char *from, char *end)
{
	for (char *dot = from; (dot = memchr(dot, '.', (size_t)(end - dot))) != NULL; dot++)
		if (dot[-2] == '\r' && dot[-1] == '\n' && end - dot >= 3 && dot[1] == '\r' &&
			dot[2] == '\n')
			return dot + 3;
	return NULL;
}

static void message_ended(struct server *s, struct client *c)
{
	c->state = COMMAND;
	atomic_fetch_add_explicit(&s->counter->messages, 1, memory_order_relaxed);
	say(s, "250 2.0.0 Ok\r\n");
}

/* One step over what is there.  NULL: more octets are needed, those from *keep on again.  */
static char *step(struct server *s, struct client *c, char *at, char *end, char **keep, bool *open)
{
	if (c->state == CHUNK) {
		uint64_t have = (uint64_t)(end - at);
		uint64_t n = have < c->chunk_left ? have : c->chunk_left;
		c->chunk_left -= n;
		if (c->chunk_left == 0) {
			c->state = COMMAND;
			if (c->last)
				message_ended(s, c);
			else
				say(s, "250 2.0.0 Ok\r\n");
			return at + n;
		}
		*keep = end;
		return NULL;
	}
	if (c->state == CONTENT) {
		char *after = content_end(at, end);
		if (after != NULL)
			message_ended(s, c);
		else
			*keep = end - at > 2 ? end - 4 : at - 2; /* CRLF.CR may be a beginning */
		return after;
	}
	char *newline = memchr(at, '\n', (size_t)(end - at));
	if (newline == NULL) {
		*keep = at;
		return NULL;
	}
	*open = command(s, c, at, (size_t)(newline - at));
	return newline + 1;
}

/* False: the client is done with.  */
static bool received(struct server *s, struct client *c, size_t length)
{
	char *end = s->receive + CARRY_MAX + length;
	char *at = s->receive + CARRY_MAX - c->carry;
	if (c->carry > 0) memcpy(at, c->kept, c->carry);
	if (c->state == CONTENT) at += 2; /* what is kept then begins with the two octets before */
	char *keep = end;
	bool open = true;
	while (open && (at < end || (c->state == CHUNK && c->chunk_left == 0))) {
		char *next = step(s, c, at, end, &keep, &open);
		if (next == NULL) break;
		at = next;
		keep = c->state == CONTENT ? at - 2 : at;
	}
	size_t kept = (size_t)(end - keep);
	if (kept > CARRY_MAX) return false;
	if (kept > 0 && c->kept == NULL && (c->kept = malloc(CARRY_MAX)) == NULL) fail("malloc");
	if (kept > 0) memcpy(c->kept, keep, kept);
	c->carry = (uint32_t)kept;
	return open;
}

static void leave(struct client *c)
{
	close(c->fd);
	free(c->kept);
	free(c);
}

static void serve(struct server *s, struct client *c)
{
	ssize_t n = recv(c->fd, s->receive + CARRY_MAX, RECEIVE_MAX, 0);
	if (n < 0 && errno == EAGAIN) return;
	s->reply_count = 0;
	bool open = n > 0 && received(s, c, (size_t)n);
	/* Replies are short: a socket that does not take them has a peer that does not read.  */
	if (s->reply_count > 0 &&
		send(c->fd, s->replies, s->reply_count, MSG_NOSIGNAL) != (ssize_t)s->reply_count)
		open = false;
	if (!open) leave(c);
}

static void greet(struct server *s)
{
	for (;;) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) return;
		struct client *c = calloc(1, sizeof *c);
		if (c == NULL) fail("calloc");
		c->fd = fd;
		int one = 1;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
		if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) != 0) fail("epoll_ctl");
		atomic_fetch_add_explicit(&s->counter->connections, 1, memory_order_relaxed);
		static const char banner[] = "220 discard.test ESMTP\r\n";
		if (send(fd, banner, sizeof banner - 1, MSG_NOSIGNAL) < 0) leave(c);
	}
}

static int listen_on(const char *port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
		bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 4096) != 0)
		fail("listen");
	return fd;
}

static struct counter *counter_in(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(struct counter)) != 0) fail(path);
	void *at = mmap(NULL, sizeof(struct counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) fail("mmap");
	close(fd);
	return at;
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fputs("usage: discard PORT COUNTER [chunking]\n", stderr);
		return 64;
	}
	struct server s = {.listener = listen_on(argv[1]),
		.counter = counter_in(argv[2]),
		.chunking = argc > 3,
		.epoll = epoll_create1(EPOLL_CLOEXEC),
		.receive = malloc(CARRY_MAX + RECEIVE_MAX),
		.replies = malloc(REPLIES_MAX)};
	if (s.epoll < 0 || s.receive == NULL || s.replies == NULL) fail("start");
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
	if (epoll_ctl(s.epoll, EPOLL_CTL_ADD, s.listener, &e) != 0) fail("epoll_ctl");
	for (;;) {
		struct epoll_event events[EVENTS_MAX];
		int n = epoll_wait(s.epoll, events, EVENTS_MAX, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				greet(&s);
			else
				serve(&s, events[i].data.ptr);
		}
	}
}
