#include "io/fetch.h"

#include "io/linux.h"

#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>

enum {
	HEADERS_MAX = 32 << 10,
	TIMEOUT_MS = 60000,
	CONNECTIONS_MAX = 32, /* at once; more requests wait their turn */
	IDLE_MS = 60000,
};

/* Made and freed on the loop's thread; the fetcher's thread has it from `given` to `finished`.  */
struct io_fetch_request {
	struct list link;       /* in `given`, `active` or `finished` */
	struct list owned;      /* in `all`: the loop's */
	struct io_fetch *fetch; /* the loop's; NULL when nobody waits any more */
	struct io_fetcher *fetcher;
	bool dropped; /* under the lock */
	CURL *easy;
	struct curl_slist *headers;
	struct curl_slist *connect_to;
	struct curl_slist *resolve;
	CURLcode code;
	struct buf answer;
	struct buf answer_headers;
	char why[CURL_ERROR_SIZE];
};

struct io_fetcher {
	struct io *io;
	CURLM *multi;
	pthread_t thread;
	struct io_post post;
	struct list all; /* the loop's */

	pthread_mutex_t lock; /* of these, and of `dropped` */
	struct list given;
	struct list finished;
	bool any_dropped;
	bool stopping;

	struct list active; /* the thread's */
};

/* ---- on the fetcher's thread ---- */

static size_t on_body(char *octets, size_t size, size_t count, void *argument)
{
	struct io_fetch_request *r = argument;
	return buf_add(&r->answer, str_of(octets, size * count)) ? size * count : 0;
}

static size_t on_header(char *octets, size_t size, size_t count, void *argument)
{
	struct io_fetch_request *r = argument;
	struct str line = str_of(octets, size * count);
	if (str_starts(line, STR("HTTP/"))) {
		buf_clear(&r->answer_headers); /* what came before was an interim response */
		return line.len;
	}
	return buf_add(&r->answer_headers, line) ? line.len : 0;
}

static void finish(struct io_fetcher *f, struct io_fetch_request *r, CURLcode code)
{
	r->code = code;
	pthread_mutex_lock(&f->lock);
	list_remove(&r->link);
	list_push_back(&f->finished, &r->link);
	pthread_mutex_unlock(&f->lock);
	io_post(&f->post);
}

static void move_dropped(struct list *from, struct list *to)
{
	LIST_EACH_SAFE (from, node) {
		if (!CONTAINER_OF(node, struct io_fetch_request, link)->dropped) continue;
		list_remove(node);
		list_push_back(to, node);
	}
}

/* Begin what was given, end what nobody waits for; false when all is to end.  */
static bool take_orders(struct io_fetcher *f)
{
	struct list begin, end;
	list_init(&end);
	pthread_mutex_lock(&f->lock);
	bool stopping = f->stopping;
	linux_take_all(&f->given, &begin);
	if (f->any_dropped) {
		move_dropped(&f->active, &end);
		move_dropped(&begin, &end);
		f->any_dropped = false;
	}
	pthread_mutex_unlock(&f->lock);
	for (struct list *node; (node = list_pop(&begin));) {
		struct io_fetch_request *r = CONTAINER_OF(node, struct io_fetch_request, link);
		list_push_back(&f->active, node);
		if (curl_multi_add_handle(f->multi, r->easy)) finish(f, r, CURLE_OUT_OF_MEMORY);
	}
	for (struct list *node; (node = list_pop(&end));) {
		struct io_fetch_request *r = CONTAINER_OF(node, struct io_fetch_request, link);
		curl_multi_remove_handle(f->multi, r->easy); /* harmless where it is not in */
		finish(f, r, CURLE_ABORTED_BY_CALLBACK);
	}
	return !stopping;
}

static void *serve(void *argument)
{
	struct io_fetcher *f = argument;
	prctl(PR_SET_NAME, "fetch"); /* its own: another thread's would need /proc */
	while (take_orders(f)) {
		int running;
		curl_multi_perform(f->multi, &running);
		int left;
		for (CURLMsg *message; (message = curl_multi_info_read(f->multi, &left));) {
			if (message->msg != CURLMSG_DONE) continue;
			CURL *easy = message->easy_handle;
			CURLcode code = message->data.result;
			char *request;
			curl_easy_getinfo(easy, CURLINFO_PRIVATE, &request);
			curl_multi_remove_handle(f->multi, easy);
			finish(f, (struct io_fetch_request *)(void *)request, code);
		}
		curl_multi_poll(f->multi, NULL, 0, IDLE_MS, NULL);
	}
	return NULL;
}

/* ---- on the loop's thread ---- */

static void request_free(struct io_fetch_request *r)
{
	list_remove(&r->owned);
	curl_easy_cleanup(r->easy);
	curl_slist_free_all(r->headers);
	curl_slist_free_all(r->connect_to);
	curl_slist_free_all(r->resolve);
	buf_release(&r->answer);
	buf_release(&r->answer_headers);
	free(r);
}

static bool was_sent(const struct io_fetch_request *r)
{
	long size = 0;
	curl_easy_getinfo(r->easy, CURLINFO_REQUEST_SIZE, &size);
	return size > 0;
}

static enum io_fetch_error error_of(const struct io_fetch_request *r)
{
	switch (r->code) {
	case CURLE_OK: return IO_FETCH_ANSWERED;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR: return IO_FETCH_CERTIFICATE;
	case CURLE_OPERATION_TIMEDOUT: return IO_FETCH_TIMEOUT;
	case CURLE_UNSUPPORTED_PROTOCOL: /* also an answer that is not HTTP */
		return was_sent(r) ? IO_FETCH_NO_ANSWER : IO_FETCH_BAD_REQUEST;
	case CURLE_URL_MALFORMAT: return IO_FETCH_BAD_REQUEST;
	case CURLE_FILESIZE_EXCEEDED: return IO_FETCH_TOO_LARGE;
	case CURLE_WRITE_ERROR:
		return buf_ok(&r->answer) && buf_ok(&r->answer_headers) ? IO_FETCH_NO_ANSWER
									: IO_FETCH_TOO_LARGE;
	default: return IO_FETCH_NO_ANSWER;
	}
}

static void tell(struct io_fetch_request *r)
{
	struct io_fetch *fetch = r->fetch;
	fetch->request = NULL;
	fetch->error = error_of(r);
	fetch->status = 0;
	if (fetch->error == IO_FETCH_TOO_LARGE) {
		snprintf(fetch->why, sizeof fetch->why, "the answer is too large");
	} else if (fetch->error) {
		snprintf(fetch->why, sizeof fetch->why, "%s",
			r->why[0] ? r->why : curl_easy_strerror(r->code));
	} else {
		long status = 0;
		curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
		fetch->status = (int)status;
		fetch->answer = r->answer;
		fetch->answer_headers = r->answer_headers;
		r->answer = r->answer_headers = (struct buf){0};
	}
	request_free(r);
	fetch->done(fetch);
}

static void posted(struct io_post *post)
{
	struct io_fetcher *f = CONTAINER_OF(post, struct io_fetcher, post);
	for (;;) {
		pthread_mutex_lock(&f->lock);
		struct list *node = list_pop(&f->finished);
		pthread_mutex_unlock(&f->lock);
		if (!node) return;
		struct io_fetch_request *r = CONTAINER_OF(node, struct io_fetch_request, link);
		if (r->fetch)
			tell(r);
		else
			request_free(r);
	}
}

struct io_fetcher *io_fetcher_start(struct io *io)
{
	struct io_fetcher *f = calloc(1, sizeof *f);
	if (!f) return NULL;
	f->io = io;
	list_init(&f->all);
	list_init(&f->given);
	list_init(&f->finished);
	list_init(&f->active);
	pthread_mutex_init(&f->lock, NULL);
	io_post_init(io, &f->post, posted);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	f->multi = curl_multi_init();
	if (f->multi) {
		curl_multi_setopt(f->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS_MAX);
		sigset_t all, before;
		sigfillset(&all);
		pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are the loop's */
		int error = pthread_create(&f->thread, NULL, serve, f);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		if (!error) return f;
		curl_multi_cleanup(f->multi);
	}
	curl_global_cleanup();
	pthread_mutex_destroy(&f->lock);
	free(f);
	return NULL;
}

void io_fetcher_stop(struct io_fetcher *f)
{
	if (!f) return;
	pthread_mutex_lock(&f->lock);
	f->stopping = true;
	pthread_mutex_unlock(&f->lock);
	curl_multi_wakeup(f->multi);
	pthread_join(f->thread, NULL);
	io_post_cancel(&f->post);
	LIST_EACH_SAFE (&f->all, node) {
		struct io_fetch_request *r = CONTAINER_OF(node, struct io_fetch_request, owned);
		if (r->fetch) r->fetch->request = NULL;
		curl_multi_remove_handle(f->multi, r->easy);
		request_free(r);
	}
	curl_multi_cleanup(f->multi);
	curl_global_cleanup();
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* ---- a request ---- */

static bool append(struct curl_slist **list, const char *text)
{
	struct curl_slist *more = curl_slist_append(*list, text);
	if (more) *list = more;
	return more;
}

#define SET(option, value) (curl_easy_setopt(r->easy, option, value) == CURLE_OK)

static bool set_fixed(struct io_fetch_request *r)
{
	return SET(CURLOPT_PRIVATE, r) && SET(CURLOPT_ERRORBUFFER, r->why) &&
		SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_PROXY, "") &&
		SET(CURLOPT_FOLLOWLOCATION, 0L) && SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) &&
		SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
		SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
		SET(CURLOPT_USERAGENT, "rockdove/" ROCKDOVE_VERSION) &&
		SET(CURLOPT_MAXFILESIZE, (long)IO_FETCH_MAX) &&
		SET(CURLOPT_WRITEFUNCTION, on_body) && SET(CURLOPT_WRITEDATA, r) &&
		SET(CURLOPT_HEADERFUNCTION, on_header) && SET(CURLOPT_HEADERDATA, r);
}

static bool set_method(struct io_fetch_request *r, const struct io_fetch *fetch)
{
	const char *method = fetch->method ? fetch->method : fetch->body.len ? "POST" : "GET";
	if (!strcmp(method, "GET") && !fetch->body.len) return true;
	if (!strcmp(method, "HEAD")) return SET(CURLOPT_NOBODY, 1L);
	return SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)fetch->body.len) &&
		SET(CURLOPT_COPYPOSTFIELDS, fetch->body.len ? fetch->body.ptr : "") &&
		SET(CURLOPT_CUSTOMREQUEST, method);
}

static bool set_headers(struct io_fetch_request *r, const struct io_fetch *fetch)
{
	if (!append(&r->headers, "Expect:")) return false; /* never wait for a 100 */
	for (const char *const *header = fetch->headers; header && *header; header++)
		if (!append(&r->headers, *header)) return false;
	return SET(CURLOPT_HTTPHEADER, r->headers);
}

/* libcurl knows the directory and file that it was built with; the rest of the server asks OpenSSL.  */
static bool set_authorities(struct io_fetch_request *r, const char *ca_file)
{
	/* The directory of the system's authorities would be trusted besides the file.  */
	if (ca_file) return SET(CURLOPT_CAINFO, ca_file) && SET(CURLOPT_CAPATH, NULL);
	const char *file = secure_getenv("SSL_CERT_FILE");
	const char *directory = secure_getenv("SSL_CERT_DIR");
	return (!file || SET(CURLOPT_CAINFO, file)) &&
		(!directory || SET(CURLOPT_CAPATH, directory));
}

/* Where to connect, when that is not the resolver's to say.  */
static bool set_addresses(struct io_fetch_request *r, const struct io_fetch *fetch)
{
	if (fetch->connect_to &&
		(!append(&r->connect_to, fetch->connect_to) ||
			!SET(CURLOPT_CONNECT_TO, r->connect_to)))
		return false;
	if (!fetch->resolve) return true;
	/* With a plus: known for a minute, not for ever.  */
	struct buf entry;
	buf_init(&entry, 4096);
	buf_printf(&entry, "+%s", fetch->resolve);
	buf_add_c(&entry, '\0');
	bool fine = buf_ok(&entry) && append(&r->resolve, entry.ptr) &&
		SET(CURLOPT_RESOLVE, r->resolve);
	buf_release(&entry);
	return fine;
}

static bool set_request(struct io_fetch_request *r, const struct io_fetch *fetch)
{
	msec timeout = fetch->timeout ? fetch->timeout : TIMEOUT_MS;
	if (!SET(CURLOPT_URL, fetch->url) ||
		!SET(CURLOPT_PROTOCOLS_STR, fetch->plain ? "https,http" : "https") ||
		!SET(CURLOPT_TIMEOUT_MS, (long)timeout))
		return false;
	if (fetch->user_password &&
		(!SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) ||
			!SET(CURLOPT_USERPWD, fetch->user_password)))
		return false;
	return set_authorities(r, fetch->ca_file) && set_addresses(r, fetch) &&
		set_method(r, fetch) && set_headers(r, fetch);
}

int io_fetch(struct io_fetcher *f, struct io_fetch *fetch)
{
	io_fetch_clear(fetch);
	struct io_fetch_request *r = calloc(1, sizeof *r);
	if (!r) return -ENOMEM;
	r->fetcher = f;
	list_init(&r->link);
	list_init(&r->owned);
	buf_init(&r->answer, IO_FETCH_MAX);
	buf_init(&r->answer_headers, HEADERS_MAX);
	r->easy = curl_easy_init();
	if (!r->easy || !set_fixed(r) || !set_request(r, fetch)) {
		request_free(r);
		return -ENOMEM;
	}
	r->fetch = fetch;
	fetch->request = r;
	list_push_back(&f->all, &r->owned);
	pthread_mutex_lock(&f->lock);
	list_push_back(&f->given, &r->link);
	pthread_mutex_unlock(&f->lock);
	curl_multi_wakeup(f->multi);
	return 0;
}

void io_fetch_clear(struct io_fetch *fetch)
{
	struct io_fetch_request *r = fetch->request;
	if (r) {
		struct io_fetcher *f = r->fetcher;
		r->fetch = NULL;
		fetch->request = NULL;
		pthread_mutex_lock(&f->lock);
		r->dropped = f->any_dropped = true;
		pthread_mutex_unlock(&f->lock);
		curl_multi_wakeup(f->multi);
	}
	buf_release(&fetch->answer);
	buf_release(&fetch->answer_headers);
	fetch->status = 0;
	fetch->why[0] = 0;
}

struct str io_fetch_header(const struct io_fetch *fetch, struct str name)
{
	struct str rest = buf_str(&fetch->answer_headers);
	while (rest.len > 0) {
		struct str line, field;
		str_cut(&rest, '\n', &line);
		if (str_cut(&line, ':', &field) && str_ieq(field, name)) return str_trim(line);
	}
	return STR_NONE;
}
