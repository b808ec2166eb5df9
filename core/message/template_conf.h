/* template_conf.h - the templates of the configuration: its files become templates, all of them or none. Thread: any. */
#ifndef CORE_MESSAGE_TEMPLATE_CONF_H
#define CORE_MESSAGE_TEMPLATE_CONF_H
#include "core/config/conf.h"
#include "template.h"

/* Texts, but for plain true and false, and the numbers of a location. The caller's. */
json_t *template_json_of_yaml(const struct yaml_node *root);
/* Fills the set, which is empty. false: why has an error for each problem, with its file and line; the set is template_set_done()'s. */
bool template_set_of_conf(const struct conf *conf, struct template_set *set, struct buf *why);
#endif
