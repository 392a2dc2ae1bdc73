mod following;
mod reading;
mod safety;
mod story;
mod upgrade;
mod views;
mod writing;
