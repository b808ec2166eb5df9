// A plugin in C++: entries of tables are variables with names, since C++ has no addressable compound literals.
#include <parley/plugin.h>
#include <new>

struct parley_channel {
  const parley_host *host;
};

namespace {
parley_status create(const parley_host *host, const parley_value *, parley_channel **ret)
{
  auto *ch = new (std::nothrow) parley_channel{host};
  if (ch == nullptr)
    return PARLEY_BUSY;
  *ret = ch;
  return PARLEY_OK;
}
parley_status start(parley_channel *) { return PARLEY_OK; }
parley_status submit(parley_channel *ch, uint64_t token, const parley_message *)
{
  parley_outcome outcome{};
  outcome.size = sizeof outcome;
  outcome.result = PARLEY_OUTCOME_DELIVERED;
  ch->host->settle(ch->host, token, &outcome);
  return PARLEY_OK;
}
void destroy(parley_channel *ch) { delete ch; }

constexpr parley_feature text = [] {
  parley_feature f{};
  f.size = sizeof f;
  f.what = PARLEY_PART_TEXT;
  f.level = PARLEY_LEVEL_NATIVE;
  return f;
}();
constexpr const parley_feature *features[] = {&text, nullptr};
constexpr parley_capabilities capabilities = [] {
  parley_capabilities c{};
  c.size = sizeof c;
  c.address_kind = "none";
  c.channel_kind = "webhook";
  c.features = features;
  return c;
}();
constexpr parley_plugin table()
{
  parley_plugin p{};
  p.size = sizeof p;
  p.abi_major = PARLEY_ABI_MAJOR;
  p.abi_minor = PARLEY_ABI_MINOR;
  p.name = "cpp";
  p.version = "1.0.0";
  p.summary = "a plugin in C++";
  p.capabilities = &capabilities;
  p.create = create;
  p.start = start;
  p.submit = submit;
  p.destroy = destroy;
  return p;
}
} // namespace
extern "C" const parley_plugin parley_plugin_v1 = table();
