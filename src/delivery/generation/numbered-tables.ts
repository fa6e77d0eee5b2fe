/**
 * Our tables that give numbers of 64 bits to their rows, which after a restore go on elsewhere. By name: the role that
 * migrates may be another one than before, so the same role need not own them all, and others may have tables beside ours.
 */
export const NUMBERED_TABLES = `
  address_change affiliate affiliate_login alert api_key bounce broadcast bulk_enrollment clawback commission consent_event conversion
  email_template enrollment experiment field_signal form funnel import_job leave_reason licence link list list_signal
  mailbox_mail membership membership_change message offer order_line orders owner owner_notice payout product refund
  segment sequence sequence_signal sequence_version signup stale_block stored_file subscriber subscriber_event
  subscriber_field suppression tag tag_signal template_text tracking_event upsell visit webhook_delivery written_mail`
  .trim()
  .split(/\s+/);
