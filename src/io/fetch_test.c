#include "io/fetch.h"

#include "io/test.h"

#include <signal.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* ---- a server with one thread a connection ---- */

enum { CONNECTIONS = 16, REQUEST_MAX = 64 << 10 };

struct server {
	int fd;
	uint16_t port;
	SSL_CTX *tls; /* NULL: plain */
	pthread_t thread;
	atomic_bool stopping;
	size_t connections;
	struct connection {
		struct server *server;
		pthread_t thread;
		int fd;
		SSL *ssl;
	} connection[CONNECTIONS];
	char request[REQUEST_MAX]; /* the last one, whole */
};

static struct test_loop loop;
static struct io_fetcher *fetcher;
static struct server plain, tls;
static char ca_path[] = "/tmp/rockdove-fetch-test-XXXXXX";
static size_t dones;

static ssize_t get(struct connection *c, void *octets, size_t len)
{
	return c->ssl ? SSL_read(c->ssl, octets, (int)len) : recv(c->fd, octets, len, 0);
}

static void put(struct connection *c, const void *octets, size_t len)
{
	if (c->ssl)
		SSL_write(c->ssl, octets, (int)len);
	else
		send(c->fd, octets, len, MSG_NOSIGNAL);
}

static void put_text(struct connection *c, const char *text) { put(c, text, strlen(text)); }

static void put_zeros(struct connection *c, size_t count)
{
	static const char zeros[1024];
	for (; count >= sizeof zeros; count -= sizeof zeros) put(c, zeros, sizeof zeros);
	put(c, zeros, count);
}

/* The request with the body that its Content-Length promises.  */
static bool read_request(struct connection *c)
{
	char *request = c->server->request;
	size_t len = 0, wanted = SIZE_MAX;
	while (len < wanted) {
		ssize_t got = get(c, request + len, REQUEST_MAX - 1 - len);
		if (got <= 0) return false;
		len += (size_t)got;
		request[len] = 0;
		const char *end = strstr(request, "\r\n\r\n");
		if (!end) continue;
		wanted = (size_t)(end + 4 - request);
		const char *length = strstr(request, "Content-Length: ");
		if (length) wanted += strtoul(length + 16, NULL, 10);
	}
	return true;
}

static void answer(struct connection *c)
{
	const char *path = strchr(c->server->request, ' ') + 1;
	if (!strncmp(path, "/ok", 3)) {
		put_text(c,
			"HTTP/1.1 200 Fine\r\nContent-Type:  text/plain; charset=x \r\n"
			"Content-Length: 6\r\n\r\nhello\n");
	} else if (!strncmp(path, "/interim", 8)) {
		put_text(c,
			"HTTP/1.1 103 Early Hints\r\nLink: early\r\n\r\n"
			"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
	} else if (!strncmp(path, "/redirect", 9)) {
		put_text(c, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
	} else if (!strncmp(path, "/largest", 8)) {
		put_text(c, "HTTP/1.1 200 Fine\r\nConnection: close\r\n\r\n");
		put_zeros(c, IO_FETCH_MAX);
	} else if (!strncmp(path, "/large", 6)) {
		put_text(c, "HTTP/1.1 200 Fine\r\nConnection: close\r\n\r\n");
		put_zeros(c, IO_FETCH_MAX + 1);
	} else if (!strncmp(path, "/announced", 10)) {
		put_text(c, "HTTP/1.1 200 Fine\r\nContent-Length: 70000\r\n\r\n");
	} else if (!strncmp(path, "/headers", 8)) {
		put_text(c, "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n");
		for (int i = 0; i < 40; i++) {
			put_text(c, "X-Long: ");
			for (int j = 0; j < 100; j++) put_text(c, "0123456789");
			put_text(c, "\r\n");
		}
		put_text(c, "\r\n");
	} else if (!strncmp(path, "/garbage", 8)) {
		put_text(c, "220 mail.example ESMTP\r\n");
	} else if (!strncmp(path, "/slow", 5)) {
		char octet;
		get(c, &octet, 1); /* until the client goes */
	}
}

static void *serve_one(void *argument)
{
	struct connection *c = argument;
	if (c->server->tls) {
		c->ssl = SSL_new(c->server->tls);
		SSL_set_fd(c->ssl, c->fd);
	}
	if ((!c->ssl || SSL_accept(c->ssl) == 1) && read_request(c)) answer(c);
	if (c->ssl) SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	shutdown(c->fd, SHUT_RDWR);
	return NULL;
}

static void *serve(void *argument)
{
	struct server *s = argument;
	for (int fd; (fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
		assert_true(s->connections < CONNECTIONS);
		struct connection *c = &s->connection[s->connections++];
		*c = (struct connection){.server = s, .fd = fd};
		assert_int_equal(pthread_create(&c->thread, NULL, serve_one, c), 0);
	}
	return NULL;
}

static void server_start(struct server *s, SSL_CTX *context)
{
	memset(s, 0, sizeof *s);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(s->fd, 16), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &len), 0);
	s->port = ntohs(at.sin_port);
	s->tls = context;
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	for (size_t i = 0; i < s->connections; i++) {
		shutdown(s->connection[i].fd, SHUT_RDWR);
		pthread_join(s->connection[i].thread, NULL);
		close(s->connection[i].fd);
	}
	SSL_CTX_free(s->tls);
}

/* A key and a certificate of itself for mta-sts.example, which becomes the file at ca_path.  */
static SSL_CTX *make_context(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
		(const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	X509_EXTENSION *names =
		X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:mta-sts.example");
	assert_non_null(names);
	X509_add_ext(certificate, names, -1);
	X509_EXTENSION_free(names);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);

	FILE *file = fdopen(mkstemp(ca_path), "w");
	assert_non_null(file);
	assert_true(PEM_write_X509(file, certificate));
	assert_int_equal(fclose(file), 0);
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	assert_true(SSL_CTX_use_certificate(context, certificate));
	assert_true(SSL_CTX_use_PrivateKey(context, key));
	X509_free(certificate);
	EVP_PKEY_free(key);
	return context;
}

static int setup(void **state)
{
	(void)state;
	test_loop_init(&loop);
	fetcher = io_fetcher_start(loop.io);
	assert_non_null(fetcher);
	server_start(&plain, NULL);
	server_start(&tls, make_context());
	dones = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	io_fetcher_stop(fetcher);
	server_stop(&plain);
	server_stop(&tls);
	unlink(ca_path);
	snprintf(ca_path, sizeof ca_path, "/tmp/rockdove-fetch-test-XXXXXX");
	list_remove(&loop.hook.link);
	io_free(loop.io);
	return 0;
}

/* ---- the client's side ---- */

static void count_done(struct io_fetch *fetch)
{
	assert_null(fetch->request);
	dones++;
}

static char url_text[128];

static const char *url(const struct server *s, const char *path)
{
	snprintf(url_text, sizeof url_text, "http://127.0.0.1:%u%s", s->port, path);
	return url_text;
}

static void ask(struct io_fetch *fetch)
{
	fetch->done = count_done;
	size_t before = dones;
	assert_int_equal(io_fetch(fetcher, fetch), 0);
	test_run_until(&loop, &dones, before + 1);
}

static void get_gives_status_headers_and_body(void **state)
{
	(void)state;
	struct io_fetch fetch = {.url = url(&plain, "/ok"), .plain = true};
	ask(&fetch);
	assert_int_equal(fetch.error, IO_FETCH_ANSWERED);
	assert_int_equal(fetch.status, 200);
	assert_true(str_eq(buf_str(&fetch.answer), STR("hello\n")));
	assert_true(
		str_eq(io_fetch_header(&fetch, STR("content-type")), STR("text/plain; charset=x")));
	assert_null(io_fetch_header(&fetch, STR("location")).ptr);
	assert_int_equal(strncmp(plain.request, "GET /ok HTTP/1.1\r\n", 18), 0);
	io_fetch_clear(&fetch);
	io_fetch_clear(&fetch);
}

static void post_sends_headers_password_and_body(void **state)
{
	(void)state;
	char secret[] = "user:pass", body[] = "a\0b";
	const char *headers[] = {"Content-Type: application/tlsrpt+gzip", NULL};
	struct io_fetch fetch = {.url = url(&plain, "/ok"),
		.plain = true,
		.body = str_of(body, 3),
		.headers = headers,
		.user_password = secret,
		.done = count_done};
	assert_int_equal(io_fetch(fetcher, &fetch), 0);
	memset(secret, 'x', sizeof secret); /* the request was copied */
	memset(body, 'x', sizeof body);
	test_run_until(&loop, &dones, 1);
	assert_int_equal(fetch.status, 200);
	assert_int_equal(strncmp(plain.request, "POST /ok HTTP/1.1\r\n", 19), 0);
	assert_non_null(strstr(plain.request, "\r\nContent-Type: application/tlsrpt+gzip\r\n"));
	assert_non_null(strstr(plain.request, "\r\nAuthorization: Basic dXNlcjpwYXNz\r\n"));
	assert_null(strstr(plain.request, "Expect"));
	assert_memory_equal(strstr(plain.request, "\r\n\r\n") + 4, "a\0b", 3);
	io_fetch_clear(&fetch);
}

static void a_struct_is_used_again(void **state)
{
	(void)state;
	struct io_fetch fetch = {.url = url(&plain, "/ok"), .plain = true};
	ask(&fetch);
	fetch.url = url(&plain, "/interim");
	ask(&fetch);
	assert_int_equal(fetch.status, 404);
	assert_int_equal(fetch.answer.len, 0);
	assert_null(io_fetch_header(&fetch, STR("Link")).ptr); /* of the interim response */
	fetch.url = url(&plain, "/ok");
	fetch.method = "HEAD";
	ask(&fetch);
	assert_int_equal(fetch.status, 200);
	assert_int_equal(fetch.answer.len, 0);
	assert_int_equal(strncmp(plain.request, "HEAD ", 5), 0);
	io_fetch_clear(&fetch);
}

static void redirects_are_answers(void **state)
{
	(void)state;
	struct io_fetch fetch = {.url = url(&plain, "/redirect"), .plain = true};
	ask(&fetch);
	assert_int_equal(fetch.error, IO_FETCH_ANSWERED);
	assert_int_equal(fetch.status, 302);
	assert_int_equal(plain.connections, 1);
	io_fetch_clear(&fetch);
}

static void only_https_is_asked_unless_plain(void **state)
{
	(void)state;
	static const char *const bad[] = {"ftp://127.0.0.1/x", "file:///etc/passwd", "https://", "",
		"https://user:password@127.0.0.1/"};
	struct io_fetch fetch = {.url = url(&plain, "/ok")};
	ask(&fetch);
	assert_int_equal(fetch.error, IO_FETCH_BAD_REQUEST);
	assert_int_equal(plain.connections, 0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		fetch.url = bad[i];
		ask(&fetch);
		assert_int_not_equal(fetch.error, IO_FETCH_ANSWERED);
		assert_true(fetch.why[0]);
	}
	io_fetch_clear(&fetch);
}

static void sizes_are_limited(void **state)
{
	(void)state;
	struct io_fetch fetch = {.url = url(&plain, "/largest"), .plain = true};
	ask(&fetch);
	assert_int_equal(fetch.error, IO_FETCH_ANSWERED);
	assert_int_equal(fetch.answer.len, IO_FETCH_MAX);
	static const char *const large[] = {"/large", "/announced", "/headers"};
	for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
		fetch.url = url(&plain, large[i]);
		ask(&fetch);
		assert_int_equal(fetch.error, IO_FETCH_TOO_LARGE);
		assert_int_equal(fetch.answer.len, 0);
		assert_int_equal(fetch.status, 0);
	}
	io_fetch_clear(&fetch);
}

static void what_is_slow_ends(void **state)
{
	(void)state;
	struct io_fetch fetch = {.url = url(&plain, "/slow"), .plain = true, .timeout = 100};
	ask(&fetch);
	assert_int_equal(fetch.error, IO_FETCH_TIMEOUT);
	io_fetch_clear(&fetch);
}

static void no_answer_has_words(void **state)
{
	(void)state;
	struct io_fetch fetch = {.url = url(&plain, "/garbage"), .plain = true};
	ask(&fetch);
	assert_int_equal(fetch.error, IO_FETCH_NO_ANSWER);
	assert_true(fetch.why[0]);
	fetch.url = "http://127.0.0.1:1/";
	ask(&fetch);
	assert_int_equal(fetch.error, IO_FETCH_NO_ANSWER);
	assert_true(fetch.why[0]);
	io_fetch_clear(&fetch);
}

static void a_cleared_request_is_never_told(void **state)
{
	(void)state;
	struct io_fetch slow = {.url = url(&plain, "/slow"), .plain = true, .done = count_done};
	struct io_fetch at_once = slow, left = slow;
	assert_int_equal(io_fetch(fetcher, &slow), 0);
	assert_int_equal(io_fetch(fetcher, &at_once), 0);
	io_fetch_clear(&at_once);
	struct io_fetch fetch = {.url = url(&plain, "/ok"), .plain = true};
	ask(&fetch);
	io_fetch_clear(&slow);
	test_run_ms(&loop, 50);
	assert_int_equal(dones, 1);
	assert_int_equal(io_fetch(fetcher, &left), 0);
	io_fetcher_stop(fetcher); /* ends it */
	fetcher = NULL;
	assert_null(left.request);
	io_fetch_clear(&left);
	io_fetch_clear(&fetch);
}

static void many_at_once(void **state)
{
	(void)state;
	struct io_fetch fetch[12];
	for (size_t i = 0; i < 12; i++) {
		fetch[i] = (struct io_fetch){
			.url = url(&plain, "/ok"), .plain = true, .done = count_done};
		assert_int_equal(io_fetch(fetcher, &fetch[i]), 0);
	}
	test_run_until(&loop, &dones, 12);
	for (size_t i = 0; i < 12; i++) {
		assert_int_equal(fetch[i].error, IO_FETCH_ANSWERED);
		io_fetch_clear(&fetch[i]);
	}
}

static void certificates_are_verified(void **state)
{
	(void)state;
	char connect_to[64];
	snprintf(connect_to, sizeof connect_to, "::127.0.0.1:%u", tls.port);
	struct io_fetch fetch = {
		.url = "https://mta-sts.example/ok", .ca_file = ca_path, .connect_to = connect_to};
	ask(&fetch);
	assert_string_equal(fetch.why, "");
	assert_int_equal(fetch.status, 200);
	fetch.ca_file = NULL;
	ask(&fetch);
	assert_int_equal(fetch.error, IO_FETCH_CERTIFICATE);
	setenv("SSL_CERT_FILE", ca_path, 1);
	ask(&fetch);
	unsetenv("SSL_CERT_FILE");
	assert_int_equal(fetch.status, 200);
	fetch.ca_file = ca_path;
	fetch.url = "https://other.example/ok";
	ask(&fetch);
	assert_int_equal(fetch.error, IO_FETCH_CERTIFICATE);
	io_fetch_clear(&fetch);
}

static void addresses_may_be_given(void **state)
{
	(void)state;
	char resolve[100], address[100];
	snprintf(resolve, sizeof resolve, "www.example:%u:[::1],127.0.0.1", plain.port);
	snprintf(address, sizeof address, "http://www.example:%u/ok", plain.port);
	struct io_fetch fetch = {.url = address, .plain = true, .resolve = resolve};
	ask(&fetch);
	assert_int_equal(fetch.status, 200); /* nobody listens at ::1 */
	assert_non_null(strstr(plain.request, "Host: www.example"));
	io_fetch_clear(&fetch);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(get_gives_status_headers_and_body),
		TEST(post_sends_headers_password_and_body),
		TEST(a_struct_is_used_again),
		TEST(redirects_are_answers),
		TEST(only_https_is_asked_unless_plain),
		TEST(sizes_are_limited),
		TEST(what_is_slow_ends),
		TEST(no_answer_has_words),
		TEST(a_cleared_request_is_never_told),
		TEST(many_at_once),
		TEST(addresses_may_be_given),
		TEST(certificates_are_verified),
	};
	signal(SIGPIPE, SIG_IGN); /* the server's side writes to clients that have gone */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
