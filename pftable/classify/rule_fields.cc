#include "pftable/classify/rule_fields.h"

namespace sluice::classify {
namespace {

const CompiledRule kNone;

// Conditions that have a dimension. Addresses do, or Flatten() says otherwise.
void ForgetDimensions(CompiledRule& rule) {
  rule.direction = kNone.direction;
  rule.family = kNone.family;
  rule.any_protocol = kNone.any_protocol;
  rule.protocol = kNone.protocol;
  rule.fragments_only = kNone.fragments_only;
  rule.flags_set = kNone.flags_set;
  rule.flags_mask = kNone.flags_mask;
  rule.has_icmp_type = kNone.has_icmp_type;
  rule.has_icmp_code = kNone.has_icmp_code;
  rule.icmp_type = kNone.icmp_type;
  rule.icmp_code = kNone.icmp_code;
  rule.never = kNone.never;
  rule.owner = kNone.owner;
  rule.source_port = kNone.source_port;
  rule.destination_port = kNone.destination_port;
  rule.on = kNone.on;
  rule.source = kNone.source;
  rule.destination = kNone.destination;
}

// What a rule does, once it has won or, of a tag, where it matches. Nothing
// may stand here by which a match rule changes what later rules are asked.
void ForgetActions(CompiledRule& rule) {
  rule.action = kNone.action;
  rule.quick = kNone.quick;
  rule.tag = kNone.tag;
  rule.block_return = kNone.block_return;
  rule.rst_ttl = kNone.rst_ttl;
  rule.icmp_return_code = kNone.icmp_return_code;
  rule.icmp6_return_code = kNone.icmp6_return_code;
  rule.allow_options = kNone.allow_options;
  rule.log = kNone.log;
  rule.log_all = kNone.log_all;
  rule.log_matches = kNone.log_matches;
  rule.state = kNone.state;
  rule.state_flags = kNone.state_flags;
  rule.side_flags = kNone.side_flags;
  rule.actions = kNone.actions;
  // A match rule that translates does; classify.cc looks anew behind it.
  rule.nat = kNone.nat;
  rule.rdr = kNone.rdr;
  rule.route = kNone.route;
  rule.route_pool = kNone.route_pool;
  rule.af_to = kNone.af_to;
  rule.af_prefix = kNone.af_prefix;
  rule.translation_pass = kNone.translation_pass;
  rule.no_reassembly = kNone.no_reassembly;
  rule.slot = kNone.slot;
  rule.number = kNone.number;
  rule.record = kNone.record;
  rule.is_call = kNone.is_call;
  rule.call_begin = kNone.call_begin;
  rule.call_end = kNone.call_end;
}

// Conditions that are known to be verified only.
void ForgetVerified(CompiledRule& rule) {
  rule.has_tos = kNone.has_tos;
  rule.tos = kNone.tos;
  rule.tagged = kNone.tagged;
  rule.tagged_negated = kNone.tagged_negated;
  rule.has_priority = kNone.has_priority;
  rule.priority = kNone.priority;
  rule.priority_of_untagged = kNone.priority_of_untagged;
  rule.received_on = kNone.received_on;
  rule.probability = kNone.probability;
  rule.os = kNone.os;
}

// Conditions that count; Scan::Matches() asks them last.
void ForgetCounted(CompiledRule& rule) {
  rule.rated = kNone.rated;
  rule.once = kNone.once;
  rule.state_limiter = kNone.state_limiter;
  rule.source_limiter = kNone.source_limiter;
  rule.state_limiter_blocks = kNone.state_limiter_blocks;
  rule.source_limiter_blocks = kNone.source_limiter_blocks;
}

}  // namespace

RuleFields FieldsOf(const CompiledRule& rule) {
  CompiledRule rest = rule;
  ForgetDimensions(rest);
  ForgetActions(rest);
  RuleFields fields;
  fields.verified = rest != kNone;
  ForgetVerified(rest);
  const CompiledRule counted = rest;
  ForgetCounted(rest);
  fields.counted = counted != rest;
  fields.unknown = rest != kNone;
  return fields;
}

}  // namespace sluice::classify
