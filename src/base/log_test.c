#include "base/log.h"
#include "base/rng.h"
#include "base/test.h"
#include "base/utf8.h"

struct fixture {
	struct log log;
	struct buf written;
	int writes;
};

static msec wall(void *context)
{
	(void)context;
	return 1795324367123;
}

static void take_lines(void *context, struct str lines)
{
	struct fixture *f = context;
	buf_add(&f->written, lines);
	f->writes++;
}

static void begin(struct fixture *f, enum log_format format)
{
	*f = (struct fixture){.log = {.wall = wall, .write = take_lines, .context = f}};
	buf_init(&f->written, 4 << 20);
	log_init(&f->log, format, LOG_INFO);
}

static void end(struct fixture *f, const char *wanted)
{
	log_release(&f->log);
	assert_str(buf_str(&f->written), wanted);
	buf_release(&f->written);
}

static void sample(struct log *log)
{
	log_begin(log, LOG_INFO, STR("4fT2"), "delivered");
	log_str(log, "to", STR("bob@example.net"));
	log_str(log, "reply", STR("250 ok"));
	log_i64(log, "ms", -12);
	log_printf(log, "peer", "%s:%d", "mx", 25);
	log_end(log);
	log_begin(log, LOG_ERROR, STR_NONE, "failed");
	log_end(log);
}

static void test_text(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f, LOG_TEXT);
	sample(&f.log);
	end(&f,
		"time=2026-11-22T05:12:47.123Z level=info event=delivered id=4fT2 to=bob@example.net "
		"reply=\"250 ok\" ms=-12 peer=mx:25\n"
		"time=2026-11-22T05:12:47.123Z level=error event=failed\n");
}

static void test_json(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f, LOG_JSON);
	sample(&f.log);
	end(&f,
		"{\"time\":\"2026-11-22T05:12:47.123Z\",\"level\":\"info\",\"event\":\"delivered\",\"id\":\"4fT2\","
		"\"to\":\"bob@example.net\",\"reply\":\"250 ok\",\"ms\":-12,\"peer\":\"mx:25\"}\n"
		"{\"time\":\"2026-11-22T05:12:47.123Z\",\"level\":\"error\",\"event\":\"failed\"}\n");
}

static void assert_value(enum log_format format, struct str value, const char *wanted)
{
	struct fixture f;
	begin(&f, format);
	log_begin(&f.log, LOG_INFO, STR_NONE, "e");
	log_str(&f.log, "k", value);
	log_end(&f.log);
	log_flush(&f.log);
	struct str line = buf_str(&f.written);
	struct str start = format == LOG_TEXT
		? STR("time=2026-11-22T05:12:47.123Z level=info event=e k=")
		: STR("{\"time\":\"2026-11-22T05:12:47.123Z\",\"level\":\"info\",\"event\":\"e\",\"k\":");
	struct str tail = format == LOG_TEXT ? STR("\n") : STR("}\n");
	assert_true(str_starts(line, start) && str_iends(line, tail));
	assert_str(str_head(str_skip(line, start.len), line.len - start.len - tail.len), wanted);
	log_release(&f.log);
	buf_release(&f.written);
}

static void test_values(void **state)
{
	(void)state;
	const struct {
		struct str value;
		const char *text, *json;
	} cases[] = {
		{STR("plain"), "plain", "\"plain\""},
		{STR(""), "\"\"", "\"\""},
		{STR("a b"), "\"a b\"", "\"a b\""},
		{STR("a=b"), "\"a=b\"", "\"a=b\""},
		{STR("say \"hi\""), "\"say \\\"hi\\\"\"", "\"say \\\"hi\\\"\""},
		{STR("back\\slash"), "\"back\\\\slash\"", "\"back\\\\slash\""},
		{STR("a\r\nb\tc"), "\"a\\r\\nb\\tc\"", "\"a\\r\\nb\\tc\""},
		{STR("nul\0bell\a"), "\"nul\\x00bell\\x07\"", "\"nul\\u0000bell\\u0007\""},
		{STR("\x1b[2J\x7f"), "\"\\x1b[2J\\x7f\"", "\"\\u001b[2J\\u007f\""},
		{STR("pel\xc3\xa9"), "\"pel\xc3\xa9\"", "\"pel\xc3\xa9\""},
		{STR("\xf0\x9f\x95\x8a"), "\"\xf0\x9f\x95\x8a\"", "\"\xf0\x9f\x95\x8a\""},
		{STR("bad\xe9octet"), "\"bad\\xe9octet\"", "\"bad\\\\xe9octet\""},
		{STR("cut\xe2\x82"), "\"cut\\xe2\\x82\"", "\"cut\\\\xe2\\\\x82\""},
		{STR("c1\xc2\x9b"), "\"c1\\xc2\\x9b\"", "\"c1\\u009b\""},
		{STR("line\xe2\x80\xa8sep"), "\"line\\xe2\\x80\\xa8sep\"", "\"line\\u2028sep\""},
		{STR("turn\xe2\x80\xae"), "\"turn\\xe2\\x80\\xae\"", "\"turn\\u202e\""},
		{STR("iso\xe2\x81\xa6"), "\"iso\\xe2\\x81\\xa6\"", "\"iso\\u2066\""},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_value(LOG_TEXT, cases[i].value, cases[i].text);
		assert_value(LOG_JSON, cases[i].value, cases[i].json);
	}
}

/* Whatever octets come, a line is one line of valid UTF-8 without controls.  */
static void test_noise_stays_on_its_line(void **state)
{
	(void)state;
	struct rng r;
	rng_init(&r, 1);
	for (int round = 0; round < 400; round++) {
		struct fixture f;
		char noise[200];
		for (size_t i = 0; i < sizeof(noise); i++) noise[i] = (char)rng_next(&r);
		begin(&f, round % 2 ? LOG_JSON : LOG_TEXT);
		log_begin(&f.log, LOG_WARN, str_of(noise, 10), "noise");
		log_str(&f.log, "value", str_of(noise, sizeof(noise)));
		log_end(&f.log);
		log_flush(&f.log);
		struct str line = buf_str(&f.written);
		assert_true(utf8_valid(line));
		assert_int_equal(str_find(line, '\n'), line.len - 1);
		for (size_t i = 0; i + 1 < line.len; i++)
			assert_true((uint8_t)line.ptr[i] >= ' ' && line.ptr[i] != 0x7f);
		log_release(&f.log);
		buf_release(&f.written);
	}
}

static void test_below_the_level_costs_nothing(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f, LOG_TEXT);
	f.log.wall = NULL; /* would crash if asked */
	log_begin(&f.log, LOG_DEBUG, STR("id"), "chatter");
	log_str(&f.log, "k", STR("v"));
	log_i64(&f.log, "n", 1);
	log_printf(&f.log, "p", "%d", 1);
	log_end(&f.log);
	assert_int_equal(f.log.lines.len, 0);
	end(&f, "");
	assert_int_equal(f.writes, 0);
}

static void test_long_values_are_cut(void **state)
{
	(void)state;
	static char text[10000];
	memset(text, 'v', sizeof(text));
	for (int way = 0; way < 4; way++) {
		struct fixture f;
		begin(&f, way & 1 ? LOG_JSON : LOG_TEXT);
		log_begin(&f.log, LOG_INFO, STR_NONE, "e");
		if (way & 2)
			log_printf(&f.log, "k", "%.*s", (int)sizeof(text), text);
		else
			log_str(&f.log, "k", str_of(text, sizeof(text)));
		log_end(&f.log);
		log_flush(&f.log);
		struct str line = buf_str(&f.written);
		assert_in_range(line.len, 4096 + 50, 4096 + 90);
		assert_true(str_iends(line, way & 1 ? STR("vvv...\"}\n") : STR("vvv...\"\n")));
		log_release(&f.log);
		buf_release(&f.written);
	}
	assert_value(LOG_TEXT, str_head(str_of(text, sizeof(text)), 3), "vvv");
}

static void test_lines_gather_and_flush_by_themselves(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f, LOG_TEXT);
	int lines = 0;
	for (; f.writes == 0; lines++) {
		assert_true(f.log.lines.len <= 64 * 1024);
		log_begin(&f.log, LOG_INFO, STR_NONE, "e");
		log_end(&f.log);
	}
	assert_true(f.written.len > 64 * 1024);
	assert_int_equal(f.written.ptr[f.written.len - 1], '\n');
	assert_int_equal(f.log.lines.len, 0);
	assert_in_range(lines, 1000, 2000);
	log_flush(&f.log); /* nothing: no write */
	assert_int_equal(f.writes, 1);
	log_release(&f.log);
	buf_release(&f.written);
}

static void test_a_line_without_memory_is_lost_alone(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f, LOG_TEXT);
	f.log.lines.max = 150;
	for (int i = 0; i < 3; i++) {
		log_begin(&f.log, LOG_INFO, STR_NONE, i == 1 ? "large" : "small");
		if (i == 1) log_printf(&f.log, "k", "%0200d", 1);
		log_end(&f.log);
	}
	end(&f,
		"time=2026-11-22T05:12:47.123Z level=info event=small\n"
		"time=2026-11-22T05:12:47.123Z level=info event=small\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_noise_stays_on_its_line),
		cmocka_unit_test(test_below_the_level_costs_nothing),
		cmocka_unit_test(test_long_values_are_cut),
		cmocka_unit_test(test_lines_gather_and_flush_by_themselves),
		cmocka_unit_test(test_a_line_without_memory_is_lost_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
