/**
 * Of a broadcast `k` that is for lists: whether the reader of its mail `m` has left each of one group. Others pay nothing
 * for it. Served by the keys of `list` and `list_member`.
 */
export const OFF_ITS_LIST = `(select true from jsonb_array_elements(k.lists) g (keys) where (select true from list l
      join list_member n on n.list_id = l.id and n.subscriber_id = m.subscriber_id where g.keys ? l.key limit 1) is null limit 1)`;
