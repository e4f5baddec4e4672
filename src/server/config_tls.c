/* `tls`, and the further certificates.  */
#include "server/config_schema.h"

const struct config_key config_tls_keys[] = {
	{"certificate", CONFIG_PATH, offsetof(struct config, tls_certificate), "tls/cert.pem",
		.help = "certificate chain, PEM; made when absent"},
	{"key", CONFIG_PATH, offsetof(struct config, tls_key), "tls/key.pem",
		.help = "its private key, PEM"},
	{"watch", CONFIG_TIME, offsetof(struct config, tls_watch), "30s", 100, DAYS(1),
		.help = "how often it is looked whether certificates have changed"},
	{0},
};

static const struct config_key certificate_keys[] = {
	{"certificate", CONFIG_PATH, offsetof(struct config_certificate, chain), "\"\"",
		.help = "certificate chain, PEM"},
	{"key", CONFIG_PATH, offsetof(struct config_certificate, key), "\"\"",
		.help = "its private key, PEM"},
	{0},
};

static void read_certificate(
	struct config_reader *r, const struct ucl_value *v, struct config_certificate *to)
{
	char where[96];
	if (v->type != UCL_BLOCK) {
		complain(&r->complaints, v->place,
			"certificate: a name and a block are wanted, as in certificate \"example.org\" { certificate = ..., key = ... }");
		return;
	}
	snprintf(where, sizeof where, "certificate %.*s.", (int)str_head(v->key, 80).len,
		v->key.ptr);
	to->name = config_copy(r, v->key, false);
	to->file = v->place.file;
	to->line = v->place.line;
	config_read_keys(r, certificate_keys, v, where, to);
	where[strlen(where) - 1] = 0;
	if (!to->chain.len || !to->key.len)
		complain(&r->complaints, v->place,
			"%s: both certificate and key are wanted, paths of PEM files", where);
}

void config_read_certificates(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	if (!v) return;
	if (v->type != UCL_BLOCK) {
		config_wrong(r, v, where,
			"a name and a block are wanted, as in certificate \"example.org\" { certificate = ..., key = ... }");
		return;
	}
	struct config_certificate *all = config_alloc(r, (v->count + 1) * sizeof *all);
	if (!all) return;
	*(const struct config_certificate **)field = all;
	for (const struct ucl_value *one = v->first; one; one = one->next)
		read_certificate(r, one, &all[r->config->certificate_count++]);
}
