/* Answers that hold a token.  */
#include "outbound/token.h"

#include <jansson.h>

enum {
	UNKNOWN_LIFE_MS = 5 * 60 * 1000, /* when nobody says how long it lives */
	LIFE_MAX_S = 7 * 24 * 3600,
};

/* RFC 6750 2.1: b64token.  */
static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!s.ptr[i] || (!ascii_alnum(s.ptr[i]) && !strchr("-._~+/=", s.ptr[i])))
			return false;
	return s.len > 0;
}

static struct str text_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return json_is_string(value) ? str_of(json_string_value(value), json_string_length(value))
				     : STR_NONE;
}

static bool read_object(const json_t *object, struct buf *token, msec *ret_ms, struct buf *why)
{
	struct str text = text_of(object, "access_token"), error = text_of(object, "error");
	if (error.len) {
		struct str more = text_of(object, "error_description");
		buf_add(why, str_head(error, 100));
		if (more.len) buf_printf(why, ": " STR_FMT, STR_ARG(str_head(more, 200)));
		return false;
	}
	if (!is_token(text)) {
		buf_add(why, STR("the answer has no access_token"));
		return false;
	}
	const json_t *life = json_object_get(object, "expires_in");
	json_int_t seconds = json_is_integer(life) ? json_integer_value(life) : 0;
	if (seconds > LIFE_MAX_S) seconds = LIFE_MAX_S;
	if (seconds > 0) *ret_ms = (msec)seconds * 1000;
	return buf_add(token, text);
}

bool token_read(struct str said, bool json, struct buf *token, msec *ret_ms, struct buf *why)
{
	said = str_trim(said);
	*ret_ms = UNKNOWN_LIFE_MS;
	if (!json && !str_starts(said, STR("{"))) {
		if (is_token(said)) return buf_add(token, said);
		buf_add(why,
			said.len ? STR("what was said is no token")
				 : STR("nothing was said where a token is due"));
		return false;
	}
	json_t *object = json_loadb(said.ptr, said.len, JSON_REJECT_DUPLICATES, NULL);
	bool fine = object && read_object(object, token, ret_ms, why);
	if (!object) buf_add(why, STR("what was said is no JSON"));
	json_decref(object);
	return fine;
}
