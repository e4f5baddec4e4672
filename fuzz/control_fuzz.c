/* The control socket: lines that are JSON or not, known commands with anything as arguments, over a
 * stream that is cut anywhere; every answer is JSON and every command ends.  */
#include "fuzz/machine.h"

#include "admin/control.h"
#include "route/latency.h"
#include "sim/sim_dns.h"
#include "spool/spool.h"

struct client {
	struct io_stream stream;
	struct buf heard;
	bool ended;
};

static void received(struct io_stream *s, struct str octets)
{
	buf_add(&CONTAINER_OF(s, struct client, stream)->heard, octets);
}

static void drained(struct io_stream *s) { (void)s; }

static void ended(struct io_stream *s, int error)
{
	(void)error;
	CONTAINER_OF(s, struct client, stream)->ended = true;
}

static void connected(struct io_stream *s, int error)
{
	ASSERT(error == 0);
	io_read_on(s);
}

static const struct io_stream_events events = {
	.connected = connected, .received = received, .drained = drained, .ended = ended};

static void nothing_ready(void *context, struct destination *d) { (void)context, (void)d; }

struct world_of_control {
	struct fuzz_machine server;
	struct io other; /* the client's machine */
	struct spool *spool;
	struct route_rule rule;
	struct route_table table;
	struct queue_options options;
	struct queue *queue;
	struct dns dns;
	struct resolver *resolver;
	struct latency *latency;
	struct router *router;
	struct domains domains;
	struct admin admin;
	struct control *control;
};

struct post {
	struct spool_writer writer;
	struct spool_op op;
	bool done;
};

static void resumed(struct spool_writer *w) { (void)w; }

static void committed(struct spool_op *op, int error)
{
	ASSERT(!error);
	CONTAINER_OF(op, struct post, op)->done = true;
}

/* A message in the queue, so that there is something to list and to act on.  */
static void add_message(struct world_of_control *w)
{
	struct post p = {.op.done = committed};
	struct recipient recipients[] = {
		{.address = STR("a@one.example")}, {.address = STR("b@two.example")}};
	struct envelope e = {
		.reverse_path = STR("s@y.example"), .recipients = recipients, .recipient_count = 2};
	ASSERT(spool_begin(w->spool, &p.writer, resumed) == 0);
	ASSERT(spool_write(&p.writer, STR("Subject: x\r\n\r\ntext\r\n")) == SPOOL_TAKEN);
	spool_commit(&p.writer, &e, 1, &p.op);
	for (int i = 0; i < 100 && !p.done; i++) fuzz_machine_run(&w->server, 10);
	ASSERT(p.done);
	queue_accepted(w->queue, spool_committed(&p.writer), &e, io_now(&w->server.io),
		io_wall(&w->server.io));
}

static void begin(struct world_of_control *w)
{
	static const struct queue_drivers drivers = {.ready = nothing_ready, .gone = nothing_ready};
	const struct spool_options spool_options = {
		.path = "/spool", .segment_size = 64 << 10, .log = &w->server.log};
	struct spool_report report;
	const char *why;
	int error;
	memset(w, 0, sizeof(*w));
	fuzz_machine_init(&w->server, 3);
	machine_init(&w->other, &w->server.world, &w->server.net, "client", 4);
	machine_serve(&w->other);
	struct io *io = &w->server.io;
	ASSERT(spool_open(io, &spool_options, &w->spool, &report, &why) == 0);
	w->options = (struct queue_options){.retry = {MINUTES(1)},
		.retry_count = 1,
		.lifetime = DAYS(5),
		.hostname = STR("mail.example.com")};
	w->rule = (struct route_rule){
		.name = STR("*"), .kind = ROUTE_MX, .port = 25, .connections = 1};
	route_table_init(&w->table, 1);
	ASSERT(route_table_add(&w->table, &w->rule));
	dns_init(&w->dns, &w->server.world, 5);
	io->dns = &w->dns;
	w->resolver = resolver_new(io, &(struct resolver_options){.log = &w->server.log}, &why);
	w->latency = latency_new(100, 1);
	const struct router_options router_options = {.resolver = w->resolver,
		.latency = w->latency,
		.hostname = STR("mail.example.com"),
		.ipv4 = true};
	w->router = router_new(io, &router_options);
	map_init(&w->domains.names, 1);
	ASSERT(w->resolver && w->router);
	w->queue = queue_new(w->spool, NULL, &w->options, &w->table, &drivers, 1, &w->server.log);
	ASSERT(w->queue);
	w->admin = (struct admin){.io = io,
		.log = &w->server.log,
		.spool = w->spool,
		.queue = w->queue,
		.router = w->router,
		.routes = &w->table,
		.domains = &w->domains,
		.hostname = STR("mail.example.com")};
	w->control = control_open(&w->admin, control_commands, "/run/control.sock", &error);
	ASSERT(w->control);
	add_message(w);
}

static void end(struct world_of_control *w)
{
	control_close(w->control);
	queue_check(w->queue);
	queue_free(w->queue);
	spool_check(w->spool);
	spool_close(w->spool);
	router_free(w->router);
	resolver_free(w->resolver);
	latency_free(w->latency);
	dns_release(&w->dns);
	map_release(&w->domains.names);
	route_table_release(&w->table);
	w->other.running = false;
	machine_release(&w->other);
	fuzz_machine_release(&w->server);
}

/* Objects, a line each; so many of them were the last of an answer.  */
static unsigned check_answers(struct str all)
{
	unsigned done = 0;
	for (struct str line; all.len;) {
		ASSERT(str_cut(&all, '\n', &line));
		json_t *object = json_loadb(line.ptr, line.len, 0, NULL);
		ASSERT(json_is_object(object));
		done += json_is_true(json_object_get(object, "done"));
		json_decref(object);
	}
	return done;
}

static void talk(struct world_of_control *w, struct str said)
{
	struct client c = {0};
	const struct net_address address = {.family = NET_UNIX, .path = "/run/control.sock"};
	buf_init(&c.heard, 64 << 20);
	ASSERT(io_connect(&w->other, &c.stream, &events, &address, NULL) == 0);
	fuzz_machine_run(&w->server, 5);
	unsigned lines = 0;
	for (struct str rest = said; rest.len && !c.ended;) {
		struct str piece = str_head(rest, 500);
		if (!io_send(&c.stream, piece)) break;
		rest = str_skip(rest, piece.len);
		fuzz_machine_run(&w->server, 5);
	}
	for (size_t i = 0; i < said.len; i++) lines += said.ptr[i] == '\n';
	unsigned done = check_answers(buf_str(&c.heard));
	for (int i = 0; i < 100 && !c.ended && done < lines; i++) {
		fuzz_machine_run(&w->server, 50);
		done = check_answers(buf_str(&c.heard));
	}
	/* Each line had its answer, or the client was dropped at one that is no command.  */
	ASSERT(done <= lines && (c.ended || done == lines));
	io_close(&c.stream);
	buf_release(&c.heard);
	fuzz_machine_run(&w->server, 10);
}

void fuzz_one(struct str in)
{
	static struct world_of_control w;
	begin(&w);
	talk(&w, in);
	end(&w);
}
