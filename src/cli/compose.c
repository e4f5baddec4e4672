#include "cli/compose.h"

#include "base/utf8.h"
#include "mail/header.h"

#include <errno.h>
#include <gio/gio.h>
#include <gmime/gmime.h>

/* ---- small parts ---- */

struct str compose_address(struct str s)
{
	size_t open = str_rfind(s, '<'), close = str_rfind(s, '>');
	if (open < close && close < s.len) return str_of(s.ptr + open + 1, close - open - 1);
	return str_trim(s);
}

bool compose_read_file(struct str path, const char *command, struct buf *ret)
{
	bool standard = str_eq(path, STR("-"));
	FILE *file = standard ? stdin : fopen(path.ptr, "rb");
	buf_init(ret, COMPOSED_MAX);
	bool fine = file != NULL;
	for (size_t n = 1; fine && n;) {
		char *room = buf_reserve(ret, 64 << 10);
		n = room ? fread(room, 1, 64 << 10, file) : 0;
		ret->len += n;
		fine = room && !ferror(file);
	}
	if (!fine)
		cli_say(command, STR_FMT ": %s", STR_ARG(path),
			ret->failed ? "too large" : strerror(errno));
	if (file && !standard) fclose(file);
	return fine;
}

static bool add_crlf(struct buf *out, struct str text)
{
	while (text.len) {
		struct str line;
		bool whole = str_cut(&text, '\n', &line);
		buf_add(out, line);
		if (whole && (!line.len || line.ptr[line.len - 1] != '\r')) buf_add_c(out, '\r');
		if (whole) buf_add_c(out, '\n');
	}
	return buf_ok(out);
}

static bool has_eight_bit(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] > 127) return true;
	return false;
}

int compose_whole(struct str text, const char *command, struct composed *ret)
{
	*ret = (struct composed){
		.eight_bit = has_eight_bit(text), .has_date = true, .has_message_id = true};
	buf_init(&ret->content, COMPOSED_MAX);
	add_crlf(&ret->content, text);
	/* The last line ends, too (RFC 5321 4.1.1.4).  */
	if (ret->content.len && ret->content.ptr[ret->content.len - 1] != '\n')
		buf_add(&ret->content, STR("\r\n"));
	if (buf_ok(&ret->content)) return EXIT_DONE;
	cli_say(command, "the message is too large");
	return EXIT_DATA;
}

bool compose_add_copy(
	const struct composed *c, struct buf *out, msec wall, struct str id, struct str hostname)
{
	if (!c->has_date) {
		buf_add(out, STR("Date: "));
		clock_add_rfc5322(out, wall);
		buf_add(out, STR("\r\n"));
	}
	if (!c->has_message_id)
		buf_printf(out, "Message-ID: <" STR_FMT "@" STR_FMT ">\r\n", STR_ARG(id),
			STR_ARG(hostname));
	return buf_add(out, buf_str(&c->content));
}

/* ---- MIME ---- */

static GMimeDataWrapper *wrap(struct str octets)
{
	GMimeStream *stream =
		g_mime_stream_mem_new_with_buffer(octets.len ? octets.ptr : "", octets.len);
	GMimeDataWrapper *content =
		g_mime_data_wrapper_new_with_stream(stream, GMIME_CONTENT_ENCODING_DEFAULT);
	g_object_unref(stream);
	return content;
}

/* Readable as long as it can be: as it is, quoted-printable, and base64 for what is mostly not ASCII.  */
static GMimeContentEncoding text_encoding(struct str body)
{
	size_t eight_bit = 0, line = 0, longest = 0;
	for (size_t i = 0; i < body.len; i++) {
		line = body.ptr[i] == '\n' ? 0 : line + 1;
		if (line > longest) longest = line;
		eight_bit += (unsigned char)body.ptr[i] > 127;
	}
	if (eight_bit > body.len / 3) return GMIME_CONTENT_ENCODING_BASE64;
	return eight_bit || longest > 990 ? GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE
					  : GMIME_CONTENT_ENCODING_7BIT;
}

static GMimeObject *text_part(struct str body)
{
	GMimePart *part = g_mime_part_new_with_type("text", "plain");
	GMimeDataWrapper *content = wrap(body);
	g_mime_object_set_content_type_parameter(GMIME_OBJECT(part), "charset", "utf-8");
	g_mime_part_set_content(part, content);
	g_mime_part_set_content_encoding(part, text_encoding(body));
	g_object_unref(content);
	return GMIME_OBJECT(part);
}

/* The type, by name and content: "image/png".  */
static char *guess_type(const char *name, struct str octets)
{
	char *guessed = g_content_type_guess(name, (const guchar *)octets.ptr, octets.len, NULL);
	char *type = g_content_type_get_mime_type(guessed);
	g_free(guessed);
	if (type && strchr(type, '/') && !g_str_has_prefix(type, "multipart/") &&
		!g_str_has_prefix(type, "message/"))
		return type;
	g_free(type);
	return g_strdup("application/octet-stream");
}

/* The parameter's text as UTF-8 (RFC 2231), whatever else could hold it.  */
static void keep_utf8(GMimeParamList *parameters, const char *name)
{
	GMimeParam *parameter = g_mime_param_list_get_parameter(parameters, name);
	if (parameter) g_mime_param_set_charset(parameter, "utf-8");
}

static GMimeObject *file_part(struct str path, struct str octets)
{
	char *name = g_path_get_basename(path.ptr), *type = guess_type(name, octets);
	char *slash = strchr(type, '/');
	*slash = 0;
	GMimePart *part = g_mime_part_new_with_type(type, slash + 1);
	GMimeDataWrapper *content = wrap(octets);
	g_mime_part_set_content(part, content);
	g_object_unref(content);
	g_mime_part_set_content_encoding(part, GMIME_CONTENT_ENCODING_BASE64);
	g_mime_object_set_disposition(GMIME_OBJECT(part), GMIME_DISPOSITION_ATTACHMENT);
	g_mime_part_set_filename(part, name);
	keep_utf8(g_mime_content_type_get_parameters(
			  g_mime_object_get_content_type(GMIME_OBJECT(part))),
		"name");
	keep_utf8(g_mime_content_disposition_get_parameters(
			  g_mime_object_get_content_disposition(GMIME_OBJECT(part))),
		"filename");
	g_free(type);
	g_free(name);
	return GMIME_OBJECT(part);
}

/* The text, or multipart/mixed of it and the files.  NULL: a file cannot be read (said).  */
static GMimeObject *body_of(const struct compose *c, const char *command)
{
	GMimeObject *text = text_part(c->body);
	if (!c->file_count) return text;
	GMimeMultipart *all = g_mime_multipart_new_with_subtype("mixed");
	g_mime_multipart_add(all, text);
	g_object_unref(text);
	for (uint32_t i = 0; i < c->file_count; i++) {
		struct buf octets;
		bool fine = compose_read_file(c->files[i], command, &octets);
		GMimeObject *part = fine ? file_part(c->files[i], buf_str(&octets)) : NULL;
		buf_release(&octets);
		if (!part) {
			g_object_unref(all);
			return NULL;
		}
		g_mime_multipart_add(all, part);
		g_object_unref(part);
	}
	return GMIME_OBJECT(all);
}

/* ---- the header ---- */

static void set_header(GMimeMessage *m, const char *name, struct str value)
{
	char *text = g_strndup(value.len ? value.ptr : "", value.len);
	g_mime_object_set_header(GMIME_OBJECT(m), name, text, "utf-8");
	g_free(text);
}

static bool header_fine(struct str field, struct str *ret_name, struct str *ret_value)
{
	*ret_value = field;
	if (!str_cut(ret_value, ':', ret_name) || !ret_name->len) return false;
	*ret_value = str_trim(*ret_value);
	for (size_t i = 0; i < ret_name->len; i++)
		if (ret_name->ptr[i] <= ' ' || ret_name->ptr[i] > '~') return false;
	for (size_t i = 0; i < ret_value->len; i++)
		if ((unsigned char)ret_value->ptr[i] < ' ' && ret_value->ptr[i] != '\t')
			return false;
	return utf8_valid(*ret_value);
}

/* Those that stand once replace ours; others are added.  */
static bool add_header(GMimeMessage *m, struct str field, struct composed *ret)
{
	static const char *const once[] = {
		"From", "To", "Subject", "Date", "Message-ID", "Reply-To", "Sender"};
	struct str name, value;
	if (!header_fine(field, &name, &value)) return false;
	if (str_ieq(name, STR("Date"))) ret->has_date = true;
	if (str_ieq(name, STR("Message-ID"))) ret->has_message_id = true;
	for (size_t i = 0; i < ARRAY_LEN(once); i++) {
		if (!str_ieq(name, str_from_c(once[i]))) continue;
		set_header(m, once[i], value);
		return true;
	}
	char *n = g_strndup(name.ptr, name.len),
	     *v = g_strndup(value.len ? value.ptr : "", value.len);
	g_mime_object_append_header(GMIME_OBJECT(m), n, v, "utf-8");
	g_free(n);
	g_free(v);
	return true;
}

static void add_recipients(GMimeMessage *m, const struct compose *c)
{
	struct buf all;
	buf_init(&all, COMPOSED_MAX);
	for (uint32_t i = 0; i < c->to_count; i++)
		buf_printf(&all, "%s" STR_FMT, i ? ", " : "", STR_ARG(c->to[i]));
	set_header(m, "To", buf_str(&all));
	buf_release(&all);
}

static int add_headers(
	GMimeMessage *m, const struct compose *c, const char *command, struct composed *ret)
{
	set_header(m, "From", c->from);
	add_recipients(m, c);
	if (c->subject.len) set_header(m, "Subject", c->subject);
	for (uint32_t i = 0; i < c->header_count; i++) {
		if (add_header(m, c->headers[i], ret)) continue;
		cli_say(command,
			"\"" STR_FMT
			"\" is not a header field; \"Name: value\" on one line is wanted",
			STR_ARG(c->headers[i]));
		return EXIT_USAGE;
	}
	return EXIT_DONE;
}

static int write_out(GMimeMessage *m, const char *command, struct composed *ret)
{
	GMimeFormatOptions *format = g_mime_format_options_new();
	g_mime_format_options_set_newline_format(format, GMIME_NEWLINE_FORMAT_DOS);
	g_mime_format_options_set_param_encoding_method(
		format, GMIME_PARAM_ENCODING_METHOD_RFC2231);
	char *text = g_mime_object_to_string(GMIME_OBJECT(m), format);
	g_mime_format_options_free(format);
	bool date = ret->has_date, message_id = ret->has_message_id;
	int code = compose_whole(str_from_c(text), command, ret);
	ret->has_date = date;
	ret->has_message_id = message_id;
	g_free(text);
	return code;
}

int compose_message(const struct compose *c, const char *command, struct composed *ret)
{
	*ret = (struct composed){0};
	if (!utf8_valid(c->body) || memchr(c->body.len ? c->body.ptr : "x", 0, c->body.len)) {
		cli_say(command,
			"the body is not UTF-8 text; --attach sends any file, --message a whole message");
		return EXIT_DATA;
	}
	g_mime_init();
	GMimeMessage *m = g_mime_message_new(FALSE);
	int code = add_headers(m, c, command, ret);
	GMimeObject *body = code ? NULL : body_of(c, command);
	if (!code && !body) code = EXIT_IO;
	if (body) {
		g_mime_message_set_mime_part(m, body);
		g_object_unref(body);
		set_header(m, "MIME-Version", STR("1.0"));
		code = write_out(m, command, ret);
	}
	g_object_unref(m);
	return code;
}
