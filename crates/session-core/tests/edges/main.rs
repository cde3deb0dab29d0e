mod faults;
mod more;
mod reload_logout;
mod renewals;
mod small;
