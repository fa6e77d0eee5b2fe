/** In SQL, of a mail `m` of a sequence: a later one of it has gone to its reader, or is going. Served by `message_subscriber`. */
export const LATER_WENT = `coalesce((select true from message l
  where l.subscriber_id = m.subscriber_id and l.enrollment_id = m.enrollment_id and l.id > m.id
    and (l.state in ('accepted', 'unknown') or l.state = 'leased' and l.data_at is not null) limit 1), false)`;
