// All prefixes of one family as the writer knows them, in order: what is
// entered for each, and which one covers another. A binary trie in which only
// nodes that branch or have something entered exist. No worker reads it.
#ifndef SLUICE_DATAPLANE_ROUTING_PREFIX_LIST_H_
#define SLUICE_DATAPLANE_ROUTING_PREFIX_LIST_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/routing/address_key.h"
#include "pftable/engine/lazy_memory.h"

namespace sluice {

template <typename Key>
class PrefixList {
 public:
  // What is entered for a prefix. 0 is nothing; all nothing: not there.
  struct Entry {
    uint32_t route = 0;  // what was asked for
    uint32_t own = 0;    // what the router's own addresses make of it

    uint32_t chosen() const { return own != 0 ? own : route; }
  };

  // Throws std::bad_alloc.
  explicit PrefixList(size_t prefixes)
      : capacity_(2 * prefixes + 1),
        memory_(capacity_ * sizeof(Node)),
        nodes_(memory_.ArrayAt<Node>(0)) {}

  // Whether there is room for so many more.
  bool HasRoom(size_t times) const {
    return used_ + times * kNewNodes - free_count_ <= capacity_;
  }

  Entry Get(Key key, int length) const {
    uint32_t at = root_;
    while (at != 0) {
      const Node& node = nodes_[at];
      if (!Covers(node, key, length)) break;
      if (node.length == length) return node.entry;
      at = node.below[BitOf(key, node.length)];
    }
    return {};
  }
  // What is entered for the longest shorter prefix that covers this one, and
  // its length; nothing and 0 if there is none.
  uint32_t Above(Key key, int length, int* above_length) const {
    uint32_t chosen = 0;
    *above_length = 0;
    uint32_t at = root_;
    while (at != 0) {
      const Node& node = nodes_[at];
      if (node.length >= length || !Covers(node, key, length)) break;
      if (node.entry.chosen() != 0) {
        chosen = node.entry.chosen();
        *above_length = node.length;
      }
      at = node.below[BitOf(key, node.length)];
    }
    return chosen;
  }
  void Set(Key key, int length, const Entry& entry) {
    const Entry old = Get(key, length);
    const int change = (entry.route != 0) - (old.route != 0);
    if (entry.chosen() == 0) {
      Remove(key, length, change);
      return;
    }
    uint32_t* link = &root_;
    while (*link != 0) {
      const int common =
          std::min({CommonBits(nodes_[*link].key, key),
                    int{nodes_[*link].length}, length});
      if (common < nodes_[*link].length) {
        // The prefix's own node comes above, or one from which both go on.
        const uint32_t below = *link;
        const uint32_t above = New(FirstBits(key, common), common);
        nodes_[above].below[BitOf(nodes_[below].key, common)] = below;
        nodes_[above].routes = nodes_[below].routes;
        *link = above;
      }
      Node& node = nodes_[*link];
      node.routes += change;
      if (node.length == length) {
        node.entry = entry;
        return;
      }
      link = &node.below[BitOf(key, node.length)];
    }
    *link = New(key, length);
    nodes_[*link].entry = entry;
    nodes_[*link].routes = change;
  }

  // How many prefixes have a route.
  size_t routes() const { return root_ == 0 ? 0 : nodes_[root_].routes; }
  // Calls f(key, length, route) for those from number `from` on, in order of
  // address and length, until it says false.
  template <typename F>
  void Each(size_t from, F&& f) const {
    Walk(root_, &from, f);
  }
  // How many routes there are up to this prefix, itself included.
  size_t NumberAfter(Key key, int length) const {
    size_t count = 0;
    uint32_t at = root_;
    while (at != 0) {
      const Node& node = nodes_[at];
      if (!Covers(node, key, length)) {
        return count + (node.key < key ? node.routes : 0);
      }
      count += node.entry.route != 0;
      if (node.length == length) break;
      const bool side = BitOf(key, node.length);
      if (side && node.below[0] != 0) count += nodes_[node.below[0]].routes;
      at = node.below[side];
    }
    return count;
  }

  size_t memory() const { return used_ * sizeof(Node); }

 private:
  struct Node {
    Key key = 0;
    std::array<uint32_t, 2> below{};
    Entry entry;
    uint32_t routes = 0;  // from here down
    uint8_t length = 0;
  };
  // A new prefix may need one for the place where it branches off.
  static constexpr size_t kNewNodes = 2;

  static bool Covers(const Node& node, Key key, int length) {
    return node.length <= length && CommonBits(node.key, key) >= node.length;
  }

  uint32_t New(Key key, int length) {
    uint32_t number = free_;
    if (number != 0) {
      free_ = nodes_[number].below[0];
      --free_count_;
    } else {
      number = static_cast<uint32_t>(used_++);
    }
    nodes_[number] = Node();
    nodes_[number].key = key;
    nodes_[number].length = static_cast<uint8_t>(length);
    return number;
  }
  void Delete(uint32_t number) {
    nodes_[number].below[0] = free_;
    free_ = number;
    ++free_count_;
  }
  static Key FirstBits(Key key, int count) {
    if (count == 0) return 0;
    const int rest = kKeyBits<Key> - count;
    return key >> rest << rest;
  }

  void Remove(Key key, int length, int change) {
    uint32_t* link = &root_;
    uint32_t* above = nullptr;  // where the node is linked that links to it
    while (*link != 0) {
      Node& node = nodes_[*link];
      if (!Covers(node, key, length)) return;
      if (node.length == length) break;
      node.routes += change;
      above = link;
      link = &node.below[BitOf(key, node.length)];
    }
    if (*link == 0) return;
    nodes_[*link].entry = {};
    nodes_[*link].routes += change;
    Shorten(link);
    if (above != nullptr) Shorten(above);
  }
  // Takes a node out that has nothing entered and does not branch.
  void Shorten(uint32_t* link) {
    const uint32_t number = *link;
    const Node& node = nodes_[number];
    if (node.entry.chosen() != 0 ||
        (node.below[0] != 0 && node.below[1] != 0)) {
      return;
    }
    *link = node.below[0] != 0 ? node.below[0] : node.below[1];
    Delete(number);
  }

  template <typename F>
  bool Walk(uint32_t number, size_t* skip, F& f) const {
    if (number == 0) return true;
    const Node& node = nodes_[number];
    if (*skip >= node.routes) {
      *skip -= node.routes;
      return true;
    }
    if (node.entry.route != 0) {
      if (*skip > 0) {
        --*skip;
      } else if (!f(node.key, int{node.length}, node.entry.route)) {
        return false;
      }
    }
    return Walk(node.below[0], skip, f) && Walk(node.below[1], skip, f);
  }
  const size_t capacity_;
  const LazyMemory memory_;
  Node* const nodes_;
  uint32_t root_ = 0;
  size_t used_ = 1;  // 0 is none
  uint32_t free_ = 0;
  size_t free_count_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTING_PREFIX_LIST_H_
