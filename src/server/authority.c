/* The certificate's authority: begun, reconfigured, ended with the configuration.  */
#include "server/acme.h"
#include "server/parts.h"

bool server_open_acme(struct server *s, struct buf *why)
{
	const struct config *c = server_config(s);
	if (!c->acme.agree) return true;
	buf_add(why, STR("acme: "));
	if (s->fetcher)
		s->acme = acme_new(s->io, s->fetcher, s->log, c, server_renew_tls, s, why);
	else
		buf_add(why, STR("out of memory, or of threads"));
	return s->acme != NULL;
}

void server_configure_acme(struct server *s)
{
	const struct config *c = server_config(s);
	if (s->acme && c->acme.agree) {
		acme_configure(s->acme, c);
		return;
	}
	acme_free(s->acme);
	s->acme = NULL;
	struct buf why;
	buf_init(&why, 1024);
	if (!server_open_acme(s, &why)) {
		log_begin(s->log, LOG_ERROR, STR_NONE, "acme-failed");
		log_str(s->log, "directory", c->acme.directory);
		log_str(s->log, "why", buf_str(&why));
		log_end(s->log);
	}
	buf_release(&why);
}
