/* The configuration: any text through the whole reader, UCL, keys, domains, aliases, routes and listeners.
 * Either it is taken, or every complaint says where and what.  */
#include "fuzz/machine.h"

#include "server/config.h"
#include "server/ucl.h"

static const struct str file = STR("/conf/rockdove.conf");

/* Lines "FILE:LINE: words".  */
static void check_complaints(struct str all)
{
	ASSERT(all.len && all.ptr[all.len - 1] == '\n');
	for (struct str line, name; all.len;) {
		(void)str_cut(&all, '\n', &line);
		ASSERT(str_starts(line, STR("/conf/")) && str_cut(&line, ':', &name));
		uint64_t number;
		struct str rest = line, digits;
		ASSERT(str_cut(&rest, ':', &digits) && str_to_u64(digits, 1 << 20, &number));
		ASSERT(number > 0 && str_trim(rest).len > 3);
	}
}

/* What a running server would ask of it.  */
static void check_config(const struct config *c)
{
	ASSERT(c->hostname.len && c->state.len && c->state.ptr[0] == '/');
	ASSERT(route_find(&c->routes, STR("nowhere.example")));
	ASSERT(c->listener_count == 0 || c->listeners);
	ASSERT(c->queue.retry_count > 0 && c->queue.lifetime > 0);
	struct arena arena;
	struct address a;
	struct str addresses[20];
	uint32_t count = 0;
	arena_init(&arena, 1 << 20);
	ASSERT(address_parse(STR("a@example.com"), true, false, &a));
	enum expand_result r = domain_expand(&c->domains, &a, 20, &arena, addresses, &count);
	ASSERT(r != EXPAND_DONE || (count > 0 && count <= 20));
	arena_release(&arena);
}

void fuzz_one(struct str in)
{
	struct fuzz_machine m;
	struct buf complaints, again;
	fuzz_machine_init(&m, 1);
	ASSERT(io_dir_make(&m.io, "/conf") == 0);
	fuzz_machine_file(&m, file.ptr, in);
	fuzz_machine_file(&m, "/conf/part.conf", STR("limits { message = 1M }\n"));
	buf_init(&complaints, 16 << 20);
	buf_init(&again, 16 << 20);
	struct config *c = config_read(&m.io, file, STR("mx.example.com"), &complaints);
	struct config *same = config_read(&m.io, file, STR("mx.example.com"), &again);
	ASSERT(!c == !same && str_eq(buf_str(&complaints), buf_str(&again)));
	if (c)
		check_config(c);
	else
		check_complaints(buf_str(&complaints));
	if (c) ASSERT(complaints.len == 0);
	config_free(c);
	config_free(same);
	buf_release(&complaints);
	buf_release(&again);
	fuzz_machine_release(&m);
}
