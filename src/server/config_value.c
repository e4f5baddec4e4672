/* Settings of one block by its table: defaults, types, units, ranges, unknown keys.  */
#include "route/idna.h"
#include "server/config_schema.h"
#include "server/units.h"

#include <stdarg.h>

/* ---- memory and words ---- */

void *config_alloc(struct config_reader *r, size_t size)
{
	void *memory = arena_alloc(&r->config->arena, size ? size : 1);
	if (!memory)
		complain(&r->complaints, (struct place){0},
			"there is no memory for the configuration");
	return memory;
}

struct str config_copy(struct config_reader *r, struct str s, bool lower)
{
	char *copy = config_alloc(r, s.len + 1);
	if (!copy) return STR("");
	for (size_t i = 0; i < s.len; i++) copy[i] = lower ? ascii_lower(s.ptr[i]) : s.ptr[i];
	return str_of(copy, s.len);
}

bool config_domain(struct config_reader *r, struct str name, struct str *ret)
{
	char ascii[IDNA_NAME_MAX + 1];
	bool below = name.len && name.ptr[0] == '.';
	if (!idna_to_ascii(str_skip(name, below), ascii + 1)) return false;
	ascii[0] = '.';
	*ret = config_copy(r, str_from_c(ascii + !below), true);
	return true;
}

struct str config_path(struct config_reader *r, struct str path)
{
	if (!path.len || path.ptr[0] == '/' || !r->config->state.len) return path;
	struct str state = r->config->state;
	char *whole = config_alloc(r, state.len + 1 + path.len + 1);
	if (!whole) return path;
	memcpy(whole, state.ptr, state.len);
	whole[state.len] = '/';
	memcpy(whole + state.len + 1, path.ptr, path.len);
	return str_of(whole, state.len + 1 + path.len);
}

void config_use(struct config_reader *r, struct str path, bool write, struct place place)
{
	struct config_use *use = path.len ? config_alloc(r, sizeof *use) : NULL;
	if (!use) return;
	*use = (struct config_use){path, write, place, r->config->uses};
	r->config->uses = use;
}

void config_wrong(struct config_reader *r, const struct ucl_value *value, const char *where,
	const char *format, ...)
{
	char text[768];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	complain(&r->complaints, value->place, "%s: %s", where, text);
}

uint32_t config_count(const struct ucl_value *value)
{
	return !value ? 0 : value->type == UCL_LIST ? value->count : 1;
}

const struct ucl_value *config_each_text(struct config_reader *r, const struct ucl_value *value,
	const struct ucl_value *at, const char *where)
{
	if (!value || (at && value->type != UCL_LIST)) return NULL;
	const struct ucl_value *v = at ? at->next : value->type == UCL_LIST ? value->first : value;
	for (; v && v->type != UCL_TEXT; v = value->type == UCL_LIST ? v->next : NULL)
		config_wrong(r, v, where, "a text, or a list of texts, is wanted here");
	return v;
}

/* ---- one setting ---- */

struct setting {
	struct config_reader *r;
	const struct config_key *key;
	const struct ucl_value *value;
	char name[320];
};

static const char *const type_words[] = {
	[CONFIG_TEXT] = "a text is wanted",
	[CONFIG_PATH] = "the path of a file is wanted",
	[CONFIG_TIME] = "a time such as 30s, 5m, 2h or 5d is wanted",
	[CONFIG_SIZE] = "a size such as 4096, 10k, 50M or 1G is wanted",
	[CONFIG_COUNT] = "a whole number is wanted",
	[CONFIG_PORT] = "a port number is wanted",
	[CONFIG_BOOL] = "true or false is wanted",
	[CONFIG_BLOCK] = "a block { ... } is wanted",
};

static void wrong_type(const struct setting *s)
{
	const char *wanted = type_words[s->key->type];
	const struct ucl_value *v = s->value;
	if (v->type == UCL_TEXT)
		config_wrong(s->r, v, s->name, "\"" STR_FMT "\" will not do; %s (%s)",
			STR_ARG(v->text), wanted, s->key->help);
	else
		config_wrong(s->r, v, s->name, "a %s will not do; %s (%s)",
			v->type == UCL_LIST ? "list" : "block", wanted, s->key->help);
}

static void add_number(struct buf *out, enum config_type type, int64_t n)
{
	static const char units[] = "kMGT";
	if (type == CONFIG_TIME) {
		clock_add_span(out, n);
		return;
	}
	int unit = -1;
	for (; type == CONFIG_SIZE && n && n % 1024 == 0 && unit < 3; n /= 1024) unit++;
	buf_add_u64(out, (uint64_t)n);
	if (unit >= 0) buf_add_c(out, units[unit]);
}

static bool in_range(const struct setting *s, int64_t n)
{
	const struct config_key *k = s->key;
	if (n >= k->min && (!k->max || n <= k->max)) return true;
	struct buf words;
	buf_init(&words, 256);
	buf_add(&words, STR("at least "));
	add_number(&words, k->type, k->min);
	if (k->max) {
		buf_add(&words, STR(" and at most "));
		add_number(&words, k->type, k->max);
	}
	config_wrong(s->r, s->value, s->name,
		STR_FMT " is out of range; it must be " STR_FMT " (%s)", STR_ARG(s->value->text),
		STR_ARG(buf_str(&words)), k->help);
	buf_release(&words);
	return false;
}

static bool read_bool(struct str s, bool *ret)
{
	static const struct {
		struct str word;
		bool value;
	} words[] = {
		{STR("true"), true},
		{STR("yes"), true},
		{STR("on"), true},
		{STR("false"), false},
		{STR("no"), false},
		{STR("off"), false},
	};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_ieq(s, words[i].word)) return *ret = words[i].value, true;
	return false;
}

static void read_choice(const struct setting *s, void *field)
{
	struct buf words;
	buf_init(&words, 512);
	for (const struct config_choice *c = s->key->choices; c->name; c++) {
		if (s->value->type == UCL_TEXT && str_ieq(s->value->text, str_from_c(c->name))) {
			if (s->key->type == CONFIG_FLAG)
				*(bool *)field = c->value;
			else
				*(int *)field = c->value;
			buf_release(&words);
			return;
		}
		buf_printf(&words, "%s%s", words.len ? c[1].name ? ", " : " or " : "", c->name);
	}
	struct str given = s->value->type == UCL_TEXT ? s->value->text : STR("a list or block");
	config_wrong(s->r, s->value, s->name,
		"\"" STR_FMT "\" will not do; it is one of " STR_FMT " (%s)", STR_ARG(given),
		STR_ARG(buf_str(&words)), s->key->help);
	buf_release(&words);
}

static void read_number(const struct setting *s, void *field)
{
	uint64_t n = 0;
	msec time = 0;
	struct str text = s->value->text;
	bool fine = s->key->type == CONFIG_TIME ? units_time(text, &time)
		: s->key->type == CONFIG_SIZE   ? units_size(text, &n)
						: str_to_u64(text, INT64_MAX, &n);
	if (!fine) {
		wrong_type(s);
		return;
	}
	if (!in_range(s, s->key->type == CONFIG_TIME ? time : (int64_t)n)) return;
	if (s->key->type == CONFIG_TIME) *(msec *)field = time;
	if (s->key->type == CONFIG_SIZE) *(uint64_t *)field = n;
	if (s->key->type == CONFIG_COUNT) *(uint32_t *)field = (uint32_t)n;
	if (s->key->type == CONFIG_PORT) *(uint16_t *)field = (uint16_t)n;
}

static void read_text(const struct setting *s, void *field)
{
	switch (s->key->type) {
	case CONFIG_TEXT: *(struct str *)field = config_copy(s->r, s->value->text, false); return;
	case CONFIG_PATH:
		*(struct str *)field = config_path(s->r, config_copy(s->r, s->value->text, false));
		config_use(s->r, *(struct str *)field, false, s->value->place);
		return;
	case CONFIG_BOOL:
		if (!read_bool(s->value->text, field)) wrong_type(s);
		return;
	default: read_number(s, field);
	}
}

static void read_block(struct setting *s, void *field)
{
	if (s->value && s->value->type != UCL_BLOCK) {
		wrong_type(s);
		return;
	}
	size_t len = strlen(s->name);
	if (len + 1 < sizeof s->name) memcpy(s->name + len, ".", 2);
	config_read_keys(s->r, s->key->keys, s->value, s->name, field);
}

static void read_plain(const struct setting *s, void *field)
{
	if (s->key->choices)
		read_choice(s, field);
	else if (s->value->type != UCL_TEXT)
		wrong_type(s);
	else
		read_text(s, field);
}

/* ---- the table ---- */

/* The default, parsed as if it stood in a file.  */
static const struct ucl_value *parse_fallback(struct config_reader *r, const struct config_key *k)
{
	char text[256];
	int len = snprintf(text, sizeof text, "%s = %s", k->key, k->fallback);
	ASSERT(len > 0 && (size_t)len < sizeof text);
	struct ucl_value *root = ucl_parse(
		r->io, &r->config->arena, "default", str_of(text, (size_t)len), &r->complaints);
	return root ? root->first : NULL;
}

static void read_setting(struct config_reader *r, const struct config_key *k,
	const struct ucl_value *block, const char *where, void *base)
{
	struct setting s = {.r = r, .key = k, .value = ucl_find(block, str_from_c(k->key))};
	void *field = (char *)base + k->offset;
	snprintf(s.name, sizeof s.name, "%s%s", where, k->key);
	if (k->type == CONFIG_BLOCK) {
		read_block(&s, field);
		return;
	}
	if (!s.value && k->fallback) s.value = parse_fallback(r, k);
	if (k->type == CONFIG_OTHER)
		k->read(r, s.value, s.name, field);
	else if (s.value)
		read_plain(&s, field);
}

static void unknown_key(struct config_reader *r, const struct config_key *keys,
	const struct ucl_value *v, const char *where)
{
	const struct config_key *nearest = NULL;
	unsigned distance = 0;
	struct buf all;
	buf_init(&all, 1024);
	for (const struct config_key *k = keys; k->key; k++) {
		unsigned d = units_distance(v->key, str_from_c(k->key));
		if (!nearest || d < distance) nearest = k, distance = d;
		buf_printf(&all, "%s%s", all.len ? ", " : "", k->key);
	}
	if (nearest && units_near(v->key, distance))
		complain(&r->complaints, v->place,
			"unknown key \"%s" STR_FMT "\"; did you mean \"%s\"?", where,
			STR_ARG(v->key), nearest->key);
	else
		complain(&r->complaints, v->place,
			"unknown key \"%s" STR_FMT "\"; known here: " STR_FMT, where,
			STR_ARG(v->key), STR_ARG(buf_str(&all)));
	buf_release(&all);
}

static bool is_known(const struct config_key *keys, struct str key)
{
	for (const struct config_key *k = keys; k->key; k++)
		if (str_eq(str_from_c(k->key), key)) return true;
	return false;
}

void config_read_keys(struct config_reader *r, const struct config_key *keys,
	const struct ucl_value *block, const char *where, void *base)
{
	for (const struct config_key *k = keys; k->key; k++) read_setting(r, k, block, where, base);
	if (!block) return;
	for (const struct ucl_value *v = block->first; v; v = v->next)
		if (!is_known(keys, v->key)) unknown_key(r, keys, v, where);
}
