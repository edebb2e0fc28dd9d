// Pipeline::Answer(), for the files of the pipeline.
#ifndef SLUICE_DATAPLANE_FORWARD_PIPELINE_ANSWER_H_
#define SLUICE_DATAPLANE_FORWARD_PIPELINE_ANSWER_H_

#include <rte_mbuf.h>

#include "dataplane/forward/pipeline.h"
#include "packet/neighbor.h"

namespace sluice {

template <typename Build>
void Pipeline::Answer(uint32_t i, Build build) {
  if (result_->answer_count >= kMaxBurst) return;
  rte_mbuf* answer =
      config_.pool != nullptr ? rte_pktmbuf_alloc(config_.pool) : nullptr;
  if (answer == nullptr) {
    port_->answers_lost.Add(1);
    return;
  }
  if (!build(answer)) {
    rte_pktmbuf_free(answer);
    return;
  }
  if ((translated_ >> i & 1) != 0 && !UndoTranslation(i, &answer)) {
    rte_pktmbuf_free(answer);
    port_->answers_lost.Add(1);
    return;
  }
  // The packet may have got another host's address since it came.
  if ((addressed_ >> i & 1) != 0) SetLinkSource(*answer, own_mac_);
  port_->answers.Add(1);
  result_->answers[result_->answer_count++] = answer;
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_PIPELINE_ANSWER_H_
