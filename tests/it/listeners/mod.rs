//! Where requests come in: TCP, Unix sockets, sockets that the service manager passes; who load balancers say came; routes that
//! count on some listeners; and nobody hurt while processes change.

mod hand_over;
mod load;
mod proxy_protocol;
mod rules;
mod senders;
mod systemd;
mod unix;
