// Writes what the customer is told.
exports.handler = async (event) => {
  const message = `${event.customer}, your order costs ${(event.price.cents / 100).toFixed(2)} (${process.env.STAGE})`;
  console.log(message);
  return { message };
};
