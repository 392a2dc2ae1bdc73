mod following;
mod reading;
mod safety;
mod steering;
mod story;
mod upgrade;
mod views;
mod writing;
