/* There is no HTTP in the other world: every request ends soon, without an answer.  */
#include "io/fetch.h"

#include "sim/sim_io.h"

struct io_fetcher {
	struct io *io;
	struct list under_way;
};

struct io_fetch_request {
	struct list link;
	struct timer timer;
	struct io *io;
	struct io_fetch *fetch;
};

struct io_fetcher *io_fetcher_start(struct io *io)
{
	struct io_fetcher *f = calloc(1, sizeof *f);
	if (!f) return NULL;
	f->io = io;
	list_init(&f->under_way);
	return f;
}

static void request_end(struct io_fetch_request *r)
{
	io_timer_cancel(r->io, &r->timer);
	list_remove(&r->link);
	r->fetch->request = NULL;
	free(r);
}

void io_fetcher_stop(struct io_fetcher *f)
{
	if (!f) return;
	LIST_EACH_SAFE (&f->under_way, node)
		request_end(CONTAINER_OF(node, struct io_fetch_request, link));
	free(f);
}

static void no_network(struct timer *timer)
{
	struct io_fetch_request *r = CONTAINER_OF(timer, struct io_fetch_request, timer);
	struct io_fetch *fetch = r->fetch;
	request_end(r);
	fetch->error = IO_FETCH_NO_ANSWER;
	snprintf(fetch->why, sizeof fetch->why, "no network");
	fetch->done(fetch);
}

int io_fetch(struct io_fetcher *f, struct io_fetch *fetch)
{
	io_fetch_clear(fetch);
	struct io_fetch_request *r = calloc(1, sizeof *r);
	ASSERT(r);
	*r = (struct io_fetch_request){.timer.fire = no_network, .io = f->io, .fetch = fetch};
	list_push_back(&f->under_way, &r->link);
	fetch->request = r;
	io_timer_set(f->io, &r->timer, io_now(f->io) + 1);
	return 0;
}

void io_fetch_clear(struct io_fetch *fetch)
{
	if (fetch->request) request_end(fetch->request);
	buf_release(&fetch->answer);
	buf_release(&fetch->answer_headers);
	fetch->status = 0;
	fetch->why[0] = 0;
}

struct str io_fetch_header(const struct io_fetch *fetch, struct str name)
{
	(void)fetch, (void)name;
	return STR_NONE;
}
