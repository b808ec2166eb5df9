/* template_render - what one rendering of a newsletter costs: a template of 20 KiB with 47 articles of values, links and a section
 * in a loop, beside its plain text, as api makes it of a message (JSON included).
 *
 * usage: template_render [-n RENDERINGS=20000]
 * One line of JSON: the median of batches of 100, in microseconds of CPU, of the html alone and of the whole content. */
#include "bench.h"
#include "core/base/text.h"
#include "core/message/template.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH 100
#define ARTICLES 47 /* 20 KiB */
#define BATCHES_MAX 10000

static void html_make(struct buf *html)
{
  buf_str(html, "<html><head><style>p{color:{{color}}}</style></head><body><h1>Dear {{customer.name}}</h1>\n");
  for (int i = 0; i < ARTICLES; i++)
    buf_printf(html,
               "<table width=\"100%%\" cellpadding=\"0\"><tr><td style=\"padding:8px;font-family:sans-serif\"><h2>{{title}} %d</h2>"
               "<p>Written out once and the same for everybody: what the shop has to say about this month's offer, and why it is one, "
               "in a few lines that nobody reads to their end.</p>"
               "<a href=\"https://shop.example/item/{{sku}}?c={{campaign}}\">{{price}}"
               "</a>{{#stock}}<b>in stock</b>{{/stock}}{{^stock}}<i>soon</i>{{/stock}}</td></tr></table>\n",
               i);
  buf_str(html, "{{#orders}}<p>{{number}}: {{total}}</p>\n{{/orders}}</body></html>\n");
}

static struct template *template_make(size_t *ret_bytes)
{
  struct buf html = BUF_INIT(0);
  struct arena *arena = arena_new();
  struct problems problems;
  struct template *made;
  json_t *json;
  struct json_in in;

  html_make(&html);
  *ret_bytes = html.len;
  json = json_pack("{s:{s:{s:s, s:s, s:s}}}", "locales", "en", "subject", "News for {{customer.name}}", "text",
                   "Dear {{customer.name}}, read it at https://shop.example/", "html", html.at);
  problems_init(&problems, arena);
  in = (struct json_in){.object = json, .pointer = TEXT_EMPTY, .arena = arena, .problems = &problems};
  made = template_read(&in, PARLEY_LIT("news"), 1, 0, NULL, 0);
  if (made == NULL)
    bench_die("%s", problems.rows[0].detail.at);
  json_decref(json);
  arena_free(&arena);
  buf_done(&html);
  return made;
}

static int by_size(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;

  return (x > y) - (x < y);
}

/* Of this process alone: others on the machine do not count. */
static double cpu_us(void)
{
  struct timespec now;

  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec * US_PER_S + (double)now.tv_nsec / 1000;
}

/* The median time of one call, in microseconds. */
static double measured_us(long n, void (*call)(void *arg), void *arg)
{
  static double batches[BATCHES_MAX];
  size_t count = 0;

  for (long i = 0; i < n / BATCH && count < BATCHES_MAX; i++) {
    double began_us = cpu_us();

    for (int j = 0; j < BATCH; j++)
      call(arg);
    batches[count++] = (cpu_us() - began_us) / BATCH;
  }
  qsort(batches, count, sizeof *batches, by_size);
  return count > 0 ? batches[count / 2] : 0;
}

struct one {
  struct template *template;
  struct mustache *html;
  struct template_values values;
  struct buf out;
};

static void render_html(void *arg)
{
  struct one *one = arg;
  struct mustache_error error;

  buf_clear(&one->out);
  if (mustache_render(one->html, &one->values.data, 1, &one->out, &error) != PARLEY_OK)
    bench_die("%s", error.why);
}

static void render_whole(void *arg)
{
  struct one *one = arg;
  struct arena *arena = arena_new();
  struct problems problems;

  problems_init(&problems, arena);
  buf_clear(&one->out);
  if (!template_render(one->template, PARLEY_LIT("en"), &one->values, NULL, NULL, &one->out, TEXT_EMPTY, &problems))
    bench_die("%s", problems.rows[0].detail.at);
  arena_free(&arena);
}

int main(int argc, char **argv)
{
  struct buf html = BUF_INIT(0);
  struct mustache_error error;
  struct one one = {.out = BUF_INIT(0)};
  size_t bytes, html_bytes;
  double html_us, whole_us;
  long n = 20000;
  int letter;

  while ((letter = getopt(argc, argv, "n:")) != -1)
    n = letter == 'n' ? bench_number('n', optarg, BATCH, BATCH * (long)BATCHES_MAX) : n;
  one.values.data = json_loads("{\"customer\":{\"name\":\"Ana <Torres>\"},"
                               "\"color\":\"#333\",\"title\":\"Fresh & new\",\"sku\":\"A/1042\","
                               "\"campaign\":\"spring 2026\",\"price\":\"39,90 EUR\",\"stock\":true,\"orders\":[{\"number\":\"1041\","
                               "\"total\":12.5},{\"number\":\"1042\",\"total\":39.9}]}",
                               0, NULL);
  one.template = template_make(&bytes);
  html_make(&html);
  one.html = mustache_read(buf_as_text(&html), MUSTACHE_HTML, NULL, &error);
  html_us = measured_us(n, render_html, &one);
  html_bytes = one.out.len;
  whole_us = measured_us(n, render_whole, &one);
  printf("{\"template_bytes\":%zu,\"html_bytes\":%zu,\"html_us\":%.2f,\"whole_us\":%.2f}\n", bytes, html_bytes, html_us, whole_us);
  mustache_free(&one.html);
  template_unref(&one.template);
  json_decref((json_t *)(uintptr_t)one.values.data);
  buf_done(&html);
  buf_done(&one.out);
  return 0;
}
