/* The queue's commands over the control socket, on a real spool and queue.  */
#include "admin/control.h"

#include "queue/queue.h"
#include "spool/test.h"

#include <sys/socket.h>
#include <sys/un.h>

struct fixture {
	struct bench b;
	struct route_table table;
	struct route_rule rule;
	struct queue_options options;
	struct queue *queue;
	struct admin admin;
	struct control *control;
	char path[100];
	int fd;
	struct buf heard;
};

static void nothing_ready(void *context, struct destination *d) { (void)context, (void)d; }

static void begin(struct fixture *f)
{
	static const struct queue_drivers drivers = {.ready = nothing_ready, .gone = nothing_ready};
	int error;
	*f = (struct fixture){0};
	bench_init(&f->b, 1 << 20);
	bench_open(&f->b);
	f->options = (struct queue_options){.retry = {MINUTES(1)},
		.retry_count = 1,
		.lifetime = DAYS(5),
		.hostname = STR("mail.example.com")};
	f->rule = (struct route_rule){
		.name = STR("*"), .kind = ROUTE_MX, .port = 25, .connections = 1};
	route_table_init(&f->table, 1);
	assert_true(route_table_add(&f->table, &f->rule));
	f->queue = queue_new(f->b.spool, NULL, &f->options, &f->table, &drivers, 1, &f->b.log);
	f->admin = (struct admin){
		.io = f->b.io, .spool = f->b.spool, .queue = f->queue, .routes = &f->table};
	snprintf(f->path, sizeof f->path, "%s/sock", f->b.path);
	f->control = control_open(&f->admin, control_commands, f->path, &error);
	assert_non_null(f->control);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, f->path, strlen(f->path) + 1);
	f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(f->fd, (struct sockaddr *)&address, sizeof address), 0);
	buf_init(&f->heard, 16 << 20);
}

static void end(struct fixture *f)
{
	close(f->fd);
	control_close(f->control);
	queue_check(f->queue);
	queue_free(f->queue);
	route_table_release(&f->table);
	buf_release(&f->heard);
	bench_end(&f->b);
}

/* Accept a message of so many octets to rN@...; its id.  */
static uint64_t accept_message(
	struct fixture *f, struct bench_message *m, const char *sender, const char *first_recipient)
{
	*m = (struct bench_message){0};
	assert_int_equal(spool_begin(f->b.spool, &m->writer, bench_resumed), 0);
	m->id = spool_writer_id(&m->writer);
	bench_envelope(m, 2, 6);
	m->envelope.reverse_path = str_from_c(sender);
	m->recipients[0].address = str_from_c(first_recipient);
	assert_int_equal(spool_write(&m->writer, STR("a\r\nb\xff\0")), SPOOL_TAKEN);
	m->op = (struct spool_op){.done = bench_done};
	spool_commit(&m->writer, &m->envelope, 1, &m->op);
	assert_true(bench_wait(&f->b, &m->done, 10000));
	queue_accepted(f->queue, m->slot, &m->envelope, io_now(f->b.io), io_wall(f->b.io));
	return m->id;
}

/* Ask, and give back the objects of the answer as an array; the last has "done".  */
static json_t *ask(struct fixture *f, const char *request)
{
	assert_int_equal(send(f->fd, request, strlen(request), 0), strlen(request));
	assert_int_equal(send(f->fd, "\n", 1, 0), 1);
	json_t *all = json_array();
	buf_clear(&f->heard);
	for (int i = 0; i < 500; i++) {
		bench_run(&f->b, 2);
		char *room = buf_reserve(&f->heard, 1 << 20);
		ssize_t n = recv(f->fd, room, 1 << 20, 0);
		if (n > 0) f->heard.len += (size_t)n;
		for (struct str rest = buf_str(&f->heard), line;
			memchr(rest.len ? rest.ptr : "", '\n', rest.len);) {
			str_cut(&rest, '\n', &line);
			json_t *o = json_loadb(line.ptr, line.len, 0, NULL);
			assert_non_null(o);
			json_array_append_new(all, o);
			buf_consume(&f->heard, line.len + 1);
			rest = buf_str(&f->heard);
			if (json_is_true(json_object_get(o, "done"))) return all;
		}
	}
	fail_msg("no end of the answer to %s", request);
	return all;
}

static json_t *last_of(json_t *all) { return json_array_get(all, json_array_size(all) - 1); }

/* Ask for an act; what it counts.  */
static void act(struct fixture *f, const char *request, json_int_t messages, json_int_t recipients)
{
	json_t *all = ask(f, request);
	assert_null(json_object_get(last_of(all), "error"));
	assert_int_equal(json_integer_value(json_object_get(last_of(all), "messages")), messages);
	assert_int_equal(
		json_integer_value(json_object_get(last_of(all), "recipients")), recipients);
	json_decref(all);
}

static void refused(struct fixture *f, const char *request, const char *error)
{
	json_t *all = ask(f, request);
	assert_int_equal(json_array_size(all), 1);
	assert_string_equal(json_string_value(json_object_get(last_of(all), "error")), error);
	json_decref(all);
}

static const char *state_of(const json_t *message, size_t recipient)
{
	const json_t *r = json_array_get(json_object_get(message, "recipients"), recipient);
	return json_string_value(json_object_get(r, "state"));
}

static void list(void **state)
{
	(void)state;
	struct fixture f;
	struct bench_message a, b;
	char text[SPOOL_ID_LEN + 1];
	begin(&f);
	json_t *all = ask(&f, "{\"command\":\"queue.list\"}");
	assert_int_equal(json_array_size(all), 1);
	json_decref(all);

	uint64_t id = accept_message(&f, &a, "Alice@example.org", "x@one.example");
	accept_message(&f, &b, "", "y@two.example");
	all = ask(&f, "{\"command\":\"queue.list\"}");
	assert_int_equal(json_array_size(all), 3);
	const json_t *first = json_array_get(all, 0);
	spool_id_text(id, text);
	assert_string_equal(json_string_value(json_object_get(first, "id")), text);
	assert_string_equal(
		json_string_value(json_object_get(first, "sender")), "Alice@example.org");
	assert_int_equal(json_integer_value(json_object_get(first, "size")), 6);
	msec created;
	assert_true(clock_parse_rfc3339(
		str_from_c(json_string_value(json_object_get(first, "created"))), &created));
	assert_int_equal(created, spool_created(id));
	const json_t *r = json_array_get(json_object_get(first, "recipients"), 0);
	assert_string_equal(json_string_value(json_object_get(r, "address")), "x@one.example");
	assert_string_equal(json_string_value(json_object_get(r, "state")), "due");
	assert_string_equal(json_string_value(json_object_get(r, "destination")), "one.example");
	assert_int_equal(json_integer_value(json_object_get(r, "attempts")), 0);
	assert_true(json_is_string(json_object_get(r, "next_attempt")));
	json_decref(all);

	act(&f, "{\"command\":\"queue.list\",\"sender\":\"alice@EXAMPLE.org\"}", 1, 2);
	act(&f, "{\"command\":\"queue.list\",\"sender\":\"<>\"}", 1, 2);
	act(&f, "{\"command\":\"queue.list\",\"recipient\":\"<X@one.example>\"}", 1, 1);
	act(&f, "{\"command\":\"queue.list\",\"domain\":\"ONE.example\"}", 1, 1);
	act(&f, "{\"command\":\"queue.list\",\"domain\":\"@two.example\",\"sender\":\"\"}", 1, 1);
	act(&f, "{\"command\":\"queue.list\",\"domain\":\"two.example\",\"sender\":\"alice@example.org\"}",
		0, 0);
	act(&f, "{\"command\":\"queue.list\",\"domain\":\"example\"}", 0, 0);
	end(&f);
}

static void acts(void **state)
{
	(void)state;
	struct fixture f;
	struct bench_message a, b;
	char text[SPOOL_ID_LEN + 1], request[256];
	begin(&f);
	spool_id_text(accept_message(&f, &a, "alice@example.org", "x@one.example"), text);
	accept_message(&f, &b, "bob@example.org", "x@one.example");

	/* Only what is meant is held.  */
	act(&f, "{\"command\":\"queue.hold\",\"domain\":\"one.example\",\"sender\":\"alice@example.org\"}",
		1, 1);
	snprintf(request, sizeof request, "{\"command\":\"queue.list\",\"ids\":[\"%s\"]}", text);
	json_t *all = ask(&f, request);
	assert_string_equal(state_of(json_array_get(all, 0), 0), "held");
	assert_string_equal(state_of(json_array_get(all, 0), 1), "due");
	json_decref(all);
	act(&f, "{\"command\":\"queue.hold\",\"domain\":\"one.example\",\"sender\":\"alice@example.org\"}",
		0, 0);
	act(&f, "{\"command\":\"queue.retry\",\"all\":true}", 2, 3);
	act(&f, "{\"command\":\"queue.release\",\"all\":true}", 1, 1);

	/* Deleting one recipient leaves the other; deleting the last one ends the message.  */
	snprintf(request, sizeof request,
		"{\"command\":\"queue.delete\",\"ids\":[\"%s\"],\"recipient\":\"x@one.example\"}",
		text);
	act(&f, request, 1, 1);
	act(&f, "{\"command\":\"queue.list\"}", 2, 3 + 1);
	snprintf(request, sizeof request, "{\"command\":\"queue.delete\",\"ids\":[\"%s\"]}", text);
	act(&f, request, 1, 1);
	act(&f, "{\"command\":\"queue.list\"}", 1, 2);
	snprintf(request, sizeof request,
		"{\"command\":\"queue.delete\",\"ids\":[\"%s\",\"nonsense\"]}", text);
	all = ask(&f, request);
	assert_int_equal(json_array_size(json_object_get(last_of(all), "missing")), 2);
	json_decref(all);
	act(&f, "{\"command\":\"queue.delete\",\"all\":true}", 1, 2);
	act(&f, "{\"command\":\"queue.list\"}", 0, 0);
	end(&f);
}

static void wrong_requests(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f);
	static const char which[] =
		"which messages? ids, sender, recipient, domain or all is wanted";
	refused(&f, "{\"command\":\"queue.delete\"}", which);
	refused(&f, "{\"command\":\"queue.hold\",\"all\":1}", which);
	refused(&f, "{\"command\":\"queue.show\"}", which);
	refused(&f, "{\"command\":\"queue.delete\",\"ids\":\"x\"}",
		"\"ids\" is not a list of texts");
	refused(&f, "{\"command\":\"queue.delete\",\"ids\":[1]}", "\"ids\" is not a list of texts");
	refused(&f, "{\"command\":\"queue.list\",\"sender\":null}", "\"sender\" is not a text");
	refused(&f, "{\"command\":\"queue.show\",\"ids\":[]}", "message  is not in the queue");
	refused(&f, "{\"command\":\"queue.show\",\"ids\":[\"0000000000000\"]}",
		"message 0000000000000 is not in the queue");
	refused(&f, "{\"command\":\"trace\"}",
		"what is to be traced? a queue id, Message-ID, sender, recipient or @domain is wanted");
	refused(&f, "{\"command\":\"route\"}", "an address is wanted");
	end(&f);
}

static void show(void **state)
{
	(void)state;
	struct fixture f;
	struct bench_message a;
	char text[SPOOL_ID_LEN + 1], request[256];
	begin(&f);
	spool_id_text(accept_message(&f, &a, "alice@example.org", "x@one.example"), text);
	snprintf(request, sizeof request,
		"{\"command\":\"queue.show\",\"ids\":[\"%s\"],\"message\":true}", text);
	json_t *all = ask(&f, request);
	assert_int_equal(json_array_size(all), 3);
	assert_string_equal(json_string_value(json_object_get(json_array_get(all, 0), "helo")),
		"client.example.org");
	/* The octets, whatever they are: a CR LF b FF 00.  */
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(all, 1), "base64")), "YQ0KYv8A");
	json_decref(all);
	end(&f);
}

static void trace_without_history(void **state)
{
	(void)state;
	struct fixture f;
	struct bench_message a, b;
	char text[SPOOL_ID_LEN + 1], request[256];
	begin(&f);
	spool_id_text(accept_message(&f, &a, "alice@example.org", "x@one.example"), text);
	accept_message(&f, &b, "bob@example.org", "x@one.example");
	static const struct {
		const char *what;
		size_t events;
	} all[] = {{"alice@example.org", 1}, {"x@one.example", 2}, {"@ONE.example", 2},
		{"nobody@one.example", 0}, {"@example.org", 0}};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		snprintf(request, sizeof request, "{\"command\":\"trace\",\"what\":\"%s\"}",
			all[i].what);
		json_t *got = ask(&f, request);
		if (json_array_size(got) != all[i].events + 1)
			fail_msg("%s: %zu", all[i].what, json_array_size(got) - 1);
		json_decref(got);
	}
	snprintf(request, sizeof request, "{\"command\":\"trace\",\"what\":\"%s\"}", text);
	json_t *got = ask(&f, request);
	assert_int_equal(json_array_size(got), 2);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(got, 0), "event")), "queued");
	json_decref(got);
	end(&f);
}

static void stats(void **state)
{
	(void)state;
	struct fixture f;
	struct bench_message a;
	begin(&f);
	accept_message(&f, &a, "alice@example.org", "x@one.example");
	json_t *all = ask(&f, "{\"command\":\"queue.stats\"}");
	const json_t *o = last_of(all);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(o, "queue"), "messages")), 1);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(o, "queue"), "recipients")), 2);
	assert_true(json_integer_value(json_object_get(json_object_get(o, "spool"), "syncs")) > 0);
	assert_int_equal(json_array_size(json_object_get(o, "destinations")), 2);
	json_decref(all);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(list),
		cmocka_unit_test(acts),
		cmocka_unit_test(wrong_requests),
		cmocka_unit_test(show),
		cmocka_unit_test(trace_without_history),
		cmocka_unit_test(stats),
	};
	return cmocka_run_group_tests(all, NULL, NULL);
}
